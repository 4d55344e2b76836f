with hours as (
    select
        dates.date_day,
        series.hour_at
    from {{ ref("dim_dates") }} as dates
    cross join {{ hours_of_day("dates.date_day") }} as series
),

visitor_hours as (
    select
        hour_at,
        count(*) as visitor_count,
        sum(event_count) as event_count
    from {{ ref("int_visitor_hours_aggregated") }}
    where {{ is_counted() }}
    group by hour_at
),

sessions as (
    select
        {{ reporting_hour("started_at") }} as hour_at,
        count(*) as session_count,
        count(case when is_converted then 1 end) as converted_session_count
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
    group by {{ reporting_hour("started_at") }}
),

orders as (
    select
        {{ reporting_hour("ordered_at") }} as hour_at,
        count(*) as order_count,
        sum(gross_amount) as gross_revenue_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
    group by {{ reporting_hour("ordered_at") }}
),

final as (
    select
        hours.hour_at,
        hours.date_day as metric_date,
        cast(
            extract(hour from hours.hour_at at time zone '{{ var("reporting_timezone") }}')
            as integer
        ) as hour_of_day,
        cast(coalesce(visitor_hours.event_count, 0) as bigint) as event_count,
        coalesce(visitor_hours.visitor_count, 0) as visitor_count,
        coalesce(sessions.session_count, 0) as session_count,
        coalesce(sessions.converted_session_count, 0) as converted_session_count,
        coalesce(orders.order_count, 0) as order_count,
        cast(coalesce(orders.gross_revenue_amount, 0) as numeric(24, 4)) as gross_revenue_amount,
        {{ rate("sessions.converted_session_count", "sessions.session_count") }} as conversion_rate
    from hours
    left join visitor_hours
        on hours.hour_at = visitor_hours.hour_at
    left join sessions
        on hours.hour_at = sessions.hour_at
    left join orders
        on hours.hour_at = orders.hour_at
)

select * from final
