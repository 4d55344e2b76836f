{%- set most_steps = var("journey_path_max_steps") %}
with events as (
    select
        visitor_id,
        session_id,
        session_event_number,
        event_type
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_sessions() }}
),

sessions as (
    select
        session_id,
        {{ month_start("session_date") }} as month_start_date,
        coalesce(device_type, '(unknown)') as device_type,
        is_bot
    from {{ ref("fct_sessions") }}
    where {{ of_changed_sessions() }}
),

steps_compared as (
    select
        visitor_id,
        session_id,
        session_event_number,
        event_type,
        lag(event_type) over session_in_order as previous_event_type,
        count(*) filter (where event_type = 'purchase') over (
            session_in_order rows between unbounded preceding and 1 preceding
        ) as earlier_purchase_count
    from events
    window session_in_order as (partition by session_id order by session_event_number)
),

steps_numbered as (
    select
        visitor_id,
        session_id,
        event_type,
        row_number() over (partition by session_id order by session_event_number) as step_number
    from steps_compared
    where
        earlier_purchase_count = 0
        and (previous_event_type is null or event_type <> previous_event_type)
),

paths as (
    select
        visitor_id,
        session_id,
        count(*) as step_count,
        coalesce(bool_or(event_type = 'purchase'), false) as is_purchased,
        string_agg(event_type, ' > ' order by step_number) filter (
            where step_number <= {{ most_steps }} and event_type <> 'purchase'
        ) as shown_steps
    from steps_numbered
    group by visitor_id, session_id
),

final as (
    select
        paths.visitor_id,
        paths.session_id,
        sessions.month_start_date,
        sessions.device_type,
        sessions.is_bot,
        case when paths.is_purchased then 'purchase' else 'exit' end as path_end,
        concat_ws(
            ' > ',
            paths.shown_steps,
            case
                when paths.step_count - cast(paths.is_purchased as integer) > {{ most_steps }}
                    then '...'
            end,
            case when paths.is_purchased then 'purchase' else '(exit)' end
        ) as journey_path,
        cast(paths.step_count as integer) as step_count
    from paths
    inner join sessions on paths.session_id = sessions.session_id
)

select * from final
