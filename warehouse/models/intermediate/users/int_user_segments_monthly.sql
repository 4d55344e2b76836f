with span as (
    select * from {{ ref("int_span_observed") }}
),

-- The month of the data's last day is still open.
months as (
    select
        {{ month_start("span_days.date_day") }} as month_start_date,
        max(span_days.date_day) as as_of_date
    from span
    cross join {{ days_between("span.first_date", "span.last_date") }} as span_days
    where span_days.date_day < {{ month_start("span.last_date") }}
    group by {{ month_start("span_days.date_day") }}
),

user_months as (
    select *
    from {{ ref("int_user_months_aggregated") }}
    where {{ of_changed_users() }}
),

-- What a user was at the end of a month in which anything happened, until the next such month.
users_changed as (
    select
        user_key,
        month_start_date,
        lead(month_start_date) over by_user as next_month_start_date,
        min(first_seen_date) over until_then as first_seen_date,
        max(last_seen_at) over until_then as last_seen_at,
        sum(session_count) over until_then as session_count,
        sum(order_count) over until_then as order_count,
        sum(order_day_count) over until_then as order_day_count,
        min(first_order_date) over until_then as first_order_date,
        max(last_order_date) over until_then as last_order_date,
        sum(net_revenue_amount) over until_then as net_revenue_amount
    from user_months
    window
        by_user as (partition by user_key order by month_start_date),
        until_then as (
            partition by user_key
            order by month_start_date
            rows between unbounded preceding and current row
        )
),

users_dated as (
    select
        users_changed.user_key,
        months.as_of_date,
        users_changed.first_seen_date,
        least({{ reporting_date("users_changed.last_seen_at") }}, months.as_of_date)
            as last_seen_date,
        users_changed.session_count,
        users_changed.order_count,
        cast(users_changed.order_day_count as bigint) as order_day_count,
        users_changed.first_order_date,
        users_changed.last_order_date,
        users_changed.net_revenue_amount
    from users_changed
    inner join months
        on
            users_changed.month_start_date <= months.month_start_date
            and (
                users_changed.next_month_start_date is null
                or users_changed.next_month_start_date > months.month_start_date
            )
    where users_changed.first_seen_date is not null
),

segments as (
    {{ segmented_users("users_dated") | indent(4) }}
),

final as (
    select
        user_key,
        {{ month_start("as_of_date") }} as month_start_date,
        as_of_date,
        recency_score,
        frequency_score,
        monetary_score,
        frequency,
        recency_days,
        age_days,
        segment
    from segments
)

select * from final
