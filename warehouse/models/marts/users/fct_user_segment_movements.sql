with span as (
    select last_date
    from {{ ref("int_span_observed") }}
),

closed_months as (
    select
        user_key,
        month_start_date,
        as_of_date,
        segment
    from {{ ref("int_user_segments_monthly") }}
),

users as (
    select
        user_key,
        segment
    from {{ ref("dim_users") }}
),

segments as (
    select * from closed_months
    union all
    select
        users.user_key,
        {{ month_start("span.last_date") }} as month_start_date,
        span.last_date as as_of_date,
        users.segment
    from users
    cross join span
),

-- From the first on a user has a row for every month, so the row before is the month before.
users_followed as (
    select
        month_start_date,
        as_of_date,
        coalesce(
            lag(segment) over (partition by user_key order by month_start_date), '(new)'
        ) as from_segment,
        segment as to_segment
    from segments
),

movements as (
    select
        month_start_date,
        as_of_date,
        from_segment,
        to_segment,
        count(*) as user_count
    from users_followed
    group by month_start_date, as_of_date, from_segment, to_segment
),

movements_totalled as (
    select
        *,
        sum(user_count) over (partition by month_start_date, from_segment)
            as from_segment_user_count
    from movements
),

final as (
    select
        month_start_date,
        as_of_date,
        from_segment,
        to_segment,
        user_count,
        cast(from_segment_user_count as bigint) as from_segment_user_count,
        {{ rate("user_count", "from_segment_user_count") }} as movement_rate
    from movements_totalled
)

select * from final
