with metrics as (
    select * from {{ ref("fct_daily_metrics") }}
),

dates as (
    select
        date_day,
        week_start_date,
        month_start_date,
        day_name,
        is_weekend
    from {{ ref("dim_dates") }}
),

weeks_compared as (
    select
        metrics.*,
        previous_week.session_count as previous_week_session_count,
        previous_week.order_count as previous_week_order_count,
        previous_week.net_revenue_amount as previous_week_net_revenue_amount
    from metrics
    left join metrics as previous_week
        on metrics.metric_date = {{ later_by("previous_week.metric_date", 7, "day") }}
),

final as (
    select
        weeks_compared.metric_date,
        dates.week_start_date,
        dates.month_start_date,
        cast(dates.day_name as varchar(9)) as day_name,
        dates.is_weekend,
        weeks_compared.visitor_count,
        weeks_compared.user_count,
        weeks_compared.new_user_count,
        weeks_compared.event_count,
        weeks_compared.session_count,
        weeks_compared.bounce_session_count,
        weeks_compared.product_view_session_count,
        weeks_compared.add_to_cart_session_count,
        weeks_compared.checkout_session_count,
        weeks_compared.converted_session_count,
        weeks_compared.order_count,
        cast(weeks_compared.gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(weeks_compared.refund_amount as numeric(24, 4)) as refund_amount,
        cast(weeks_compared.net_revenue_amount as numeric(24, 4)) as net_revenue_amount,
        weeks_compared.abandoned_cart_count,
        cast(weeks_compared.lost_revenue_amount as numeric(24, 4)) as lost_revenue_amount,
        {{ rate("bounce_session_count", "weeks_compared.session_count") }} as bounce_rate,
        {{ rate("converted_session_count", "weeks_compared.session_count") }} as conversion_rate,
        {{ rate("abandoned_cart_count", "weeks_compared.add_to_cart_session_count") }}
            as cart_abandonment_rate,
        cast(
            weeks_compared.gross_revenue_amount / nullif(weeks_compared.order_count, 0)
            as numeric(24, 4)
        ) as average_order_amount,
        weeks_compared.previous_week_session_count,
        weeks_compared.previous_week_order_count,
        cast(weeks_compared.previous_week_net_revenue_amount as numeric(24, 4))
            as previous_week_net_revenue_amount,
        {{ change_rate("weeks_compared.session_count", "previous_week_session_count") }}
            as session_count_change_rate,
        {{ change_rate("weeks_compared.order_count", "previous_week_order_count") }}
            as order_count_change_rate,
        {{ change_rate("weeks_compared.net_revenue_amount", "previous_week_net_revenue_amount") }}
            as net_revenue_change_rate
    from weeks_compared
    inner join dates on weeks_compared.metric_date = dates.date_day
)

select * from final
