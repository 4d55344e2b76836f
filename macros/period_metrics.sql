{#
The metrics of whole weeks or months of the data's span: all of fct_daily_metrics that can be added
up, and visitors and users counted anew, each once a period. `period` is week or month.
#}
{% macro period_metrics(period) -%}
{%- set start_date = period ~ "_start_date" -%}
with span as (
    select * from {{ ref("int_span_observed") }}
),

-- Days outside the span are those of a wrong clock.
dates as (
    select
        dates.date_day,
        dates.{{ start_date }}
    from {{ ref("dim_dates") }} as dates
    inner join span on dates.date_day between span.first_date and span.last_date
),

metrics as (
    select * from {{ ref("fct_daily_metrics") }}
),

periods as (
    select
        dates.{{ start_date }},
        count(*) as day_count,
        sum(metrics.event_count) as event_count,
        sum(metrics.new_user_count) as new_user_count,
        sum(metrics.session_count) as session_count,
        sum(metrics.bounce_session_count) as bounce_session_count,
        sum(metrics.product_view_session_count) as product_view_session_count,
        sum(metrics.add_to_cart_session_count) as add_to_cart_session_count,
        sum(metrics.checkout_session_count) as checkout_session_count,
        sum(metrics.converted_session_count) as converted_session_count,
        sum(metrics.order_count) as order_count,
        sum(metrics.item_quantity) as item_quantity,
        sum(metrics.gross_revenue_amount) as gross_revenue_amount,
        sum(metrics.refund_amount) as refund_amount,
        sum(metrics.abandoned_cart_count) as abandoned_cart_count,
        sum(metrics.lost_revenue_amount) as lost_revenue_amount
    from dates
    inner join metrics on dates.date_day = metrics.metric_date
    group by dates.{{ start_date }}
),

visitor_periods as (
    select
        dates.{{ start_date }},
        count(distinct visitor_days.visitor_id) as visitor_count,
        count(distinct visitor_days.user_key) as user_count
    from {{ ref("int_visitor_days_aggregated") }} as visitor_days
    inner join dates on visitor_days.event_date = dates.date_day
    where {{ is_counted("visitor_days.is_bot") }}
    group by dates.{{ start_date }}
),

final as (
    select
        periods.{{ start_date }},
        cast(periods.day_count as integer) as day_count,
        periods.{{ start_date }} + periods.day_count * interval '1 day'
        = {{ later_by("periods." ~ start_date, 1, period) }} as is_complete,
        cast(periods.event_count as bigint) as event_count,
        coalesce(visitor_periods.visitor_count, 0) as visitor_count,
        coalesce(visitor_periods.user_count, 0) as user_count,
        cast(periods.new_user_count as bigint) as new_user_count,
        cast(periods.session_count as bigint) as session_count,
        cast(periods.bounce_session_count as bigint) as bounce_session_count,
        cast(periods.product_view_session_count as bigint) as product_view_session_count,
        cast(periods.add_to_cart_session_count as bigint) as add_to_cart_session_count,
        cast(periods.checkout_session_count as bigint) as checkout_session_count,
        cast(periods.converted_session_count as bigint) as converted_session_count,
        cast(periods.order_count as bigint) as order_count,
        cast(periods.item_quantity as bigint) as item_quantity,
        cast(periods.gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(periods.refund_amount as numeric(24, 4)) as refund_amount,
        cast(periods.gross_revenue_amount - periods.refund_amount as numeric(24, 4))
            as net_revenue_amount,
        cast(periods.abandoned_cart_count as bigint) as abandoned_cart_count,
        cast(periods.lost_revenue_amount as numeric(24, 4)) as lost_revenue_amount,
        {{ rate("periods.converted_session_count", "periods.session_count") }} as conversion_rate,
        cast(periods.gross_revenue_amount / nullif(periods.order_count, 0) as numeric(24, 4))
            as average_order_amount
    from periods
    left join visitor_periods
        on periods.{{ start_date }} = visitor_periods.{{ start_date }}
)

select * from final
{%- endmacro %}
