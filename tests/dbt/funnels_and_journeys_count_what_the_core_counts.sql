-- A figure reached in two ways is the same: a funnel, a path or a page that loses or repeats
-- sessions shows here.
with sessions as (
    select
        count(*) as session_count,
        count(case when checkout_start_count > 0 then 1 end) as checkout_session_count,
        count(case when is_bounce then 1 end) as bounce_session_count,
        coalesce(sum(event_count), 0) as event_count
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

checkouts as (
    select count(*) as session_count
    from {{ ref("fct_checkout_funnels") }}
    where step_number = 1
),

paths as (
    select coalesce(sum(session_count), 0) as session_count
    from {{ ref("fct_journey_paths") }}
),

pages as (
    select
        coalesce(sum(entry_session_count), 0) as entry_session_count,
        coalesce(sum(exit_session_count), 0) as exit_session_count,
        coalesce(sum(bounce_session_count), 0) as bounce_session_count,
        coalesce(sum(event_count), 0) as event_count
    from {{ ref("fct_entry_exit_pages") }}
),

movements as (
    select coalesce(sum(movements.user_count), 0) as user_count
    from {{ ref("fct_user_segment_movements") }} as movements
    inner join {{ ref("int_span_observed") }} as span on movements.as_of_date = span.last_date
),

users as (
    select count(*) as user_count
    from {{ ref("int_users_aggregated") }}
)

select
    checkouts.session_count as checkout_count,
    paths.session_count as path_session_count,
    pages.entry_session_count,
    pages.exit_session_count,
    pages.bounce_session_count,
    pages.event_count as page_event_count,
    movements.user_count as movement_user_count,
    sessions.session_count,
    users.user_count
from sessions
cross join checkouts
cross join paths
cross join pages
cross join movements
cross join users
where
    checkouts.session_count <> sessions.checkout_session_count
    or paths.session_count <> sessions.session_count
    or pages.entry_session_count <> sessions.session_count
    or pages.exit_session_count <> sessions.session_count
    or pages.bounce_session_count <> sessions.bounce_session_count
    or pages.event_count <> sessions.event_count
    or movements.user_count <> users.user_count
