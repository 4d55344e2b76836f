with events as (
    select
        event_id,
        event_type,
        event_at,
        event_date,
        visitor_id,
        session_id,
        session_event_number,
        is_continuation,
        is_declared_bot
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_visitors() }}
),

identified_events as (
    select
        session_id,
        session_event_number,
        user_key
    from {{ ref("int_events_sessionized") }}
    where user_id is not null and {{ of_changed_visitors() }}
),

visitors as (
    select
        visitor_id,
        user_key
    from {{ ref("int_visitors_identified") }}
    where {{ of_changed_visitors() }}
),

sessions as (
    select
        session_id,
        visitor_id,
        max(event_id) filter (where session_event_number = 1) as first_event_id,
        min(event_at) as started_at,
        max(event_at) as ended_at,
        min(event_date) as session_date,
        count(*) as event_count,
        count(*) filter (where event_type = 'page_view') as page_view_count,
        count(*) filter (where event_type = 'product_view') as product_view_count,
        count(*) filter (where event_type = 'search') as search_count,
        count(*) filter (where event_type = 'add_to_cart') as add_to_cart_count,
        count(*) filter (where event_type = 'remove_from_cart') as remove_from_cart_count,
        count(*) filter (where event_type = 'checkout_start') as checkout_start_count,
        min(event_at) filter (where event_type = 'add_to_cart') as first_added_at,
        max(event_at) filter (
            where event_type in ('add_to_cart', 'remove_from_cart')
        ) as last_cart_change_at,
        bool_or(is_continuation) as is_continuation,
        bool_or(is_declared_bot) as is_declared_bot
    from events
    group by session_id, visitor_id
),

users_ranked as (
    select
        session_id,
        user_key,
        row_number() over (
            partition by session_id order by session_event_number desc
        ) as recency_number
    from identified_events
),

final as (
    select
        sessions.session_id,
        sessions.visitor_id,
        coalesce(last_users.user_key, visitors.user_key) as user_key,
        -- Sessions by the source's ids may start at the same time.
        cast(
            row_number() over (
                partition by sessions.visitor_id
                order by sessions.started_at, {{ bytewise("sessions.first_event_id") }}
            ) as integer
        ) as visitor_session_number,
        sessions.started_at,
        sessions.ended_at,
        sessions.session_date,
        cast(
            {{ seconds_between("sessions.started_at", "sessions.ended_at") }} as numeric(13, 3)
        ) as duration_seconds,
        cast(sessions.event_count as integer) as event_count,
        cast(sessions.page_view_count as integer) as page_view_count,
        cast(sessions.product_view_count as integer) as product_view_count,
        cast(sessions.search_count as integer) as search_count,
        cast(sessions.add_to_cart_count as integer) as add_to_cart_count,
        cast(sessions.remove_from_cart_count as integer) as remove_from_cart_count,
        cast(sessions.checkout_start_count as integer) as checkout_start_count,
        sessions.first_added_at,
        sessions.last_cart_change_at,
        sessions.is_continuation,
        sessions.is_declared_bot
    from sessions
    inner join visitors
        on sessions.visitor_id = visitors.visitor_id
    left join users_ranked as last_users
        on sessions.session_id = last_users.session_id and last_users.recency_number = 1
)

select * from final
