with events as (
    select
        event_at,
        event_date,
        received_at,
        load_id
    from {{ ref("stg_raw__events") }}
    where {{ of_new_loads() }}
),

-- An event that happened a day after it was received has a clock that is wrong.
final as (
    select
        load_id,
        event_date,
        count(*) as event_count,
        count(case
            when event_at <= {{ later_by("coalesce(received_at, event_at)", 1, "day") }} then 1
        end) as credible_event_count
    from events
    group by load_id, event_date
)

select * from final
