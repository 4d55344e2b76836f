with visitors as (
    select distinct visitor_id
    from {{ ref("stg_raw__events") }}
    where {{ of_changed_visitors() }}
),

identified_events as (
    select
        event_id,
        event_at,
        visitor_id,
        user_id
    from {{ ref("stg_raw__events") }}
    where user_id is not null and {{ of_changed_visitors() }}
),

user_ids_ranked as (
    select
        visitor_id,
        user_id,
        row_number() over (
            partition by visitor_id order by event_at desc, {{ bytewise("event_id") }} desc
        ) as recency_number
    from identified_events
),

final as (
    select
        visitors.visitor_id,
        latest.user_id,
        coalesce(
            {{ hash_key(["'user'", "latest.user_id"]) }},
            {{ hash_key(["'visitor'", "visitors.visitor_id"]) }}
        ) as user_key
    from visitors
    left join user_ids_ranked as latest
        on visitors.visitor_id = latest.visitor_id and latest.recency_number = 1
)

select * from final
