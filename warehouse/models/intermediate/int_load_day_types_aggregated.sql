with events as (
    select
        event_type,
        event_at,
        event_date,
        received_at,
        nullif(page_url, '') as page_url,
        order_id,
        item_count,
        is_declared_bot,
        load_id
    from {{ ref("stg_raw__events") }}
    where {{ of_new_loads() }}
),

final as (
    select
        load_id,
        event_date,
        event_type,
        count(*) as event_count,
        -- An event that happened a day after it was received has a clock that is wrong.
        count(case
            when event_at <= {{ later_by("coalesce(received_at, event_at)", 1, "day") }} then 1
        end) as credible_event_count,
        count(received_at) as received_event_count,
        count(
            case
                when received_at > {{ later_by("event_at", var("late_event_minutes"), "minutes") }}
                    then 1
            end
        ) as late_event_count,
        count(
            case when {{ reporting_date("received_at") }} > event_date then 1 end
        ) as next_day_event_count,
        count(case when received_at < event_at then 1 end) as early_event_count,
        -- An event with a clock that is ahead was not delayed.
        cast(
            case
                when max(received_at - event_at) < interval '0 seconds' then 0
                else extract(epoch from max(received_at - event_at))
            end as numeric(18, 3)
        ) as longest_delay_seconds,
        count(case when is_declared_bot then 1 end) as declared_bot_event_count,
        count(page_url) as page_named_event_count,
        count(case when item_count > 0 then 1 end) as product_named_event_count,
        count(order_id) as order_named_event_count
    from events
    group by load_id, event_date, event_type
)

select * from final
