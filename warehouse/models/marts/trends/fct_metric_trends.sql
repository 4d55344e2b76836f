with periods as (
    select
        'day' as period_type,
        metrics.metric_date as period_start_date,
        cast(metrics.metric_date - interval '7 days' as date) as previous_start_date,
        true as is_complete,
        metrics.event_count,
        metrics.visitor_count,
        metrics.session_count,
        metrics.converted_session_count,
        metrics.order_count,
        metrics.gross_revenue_amount
    from {{ ref("fct_daily_metrics") }} as metrics
    inner join {{ ref("int_span_observed") }} as span
        on metrics.metric_date between span.first_date and span.last_date
    union all
    select
        'week' as period_type,
        week_start_date as period_start_date,
        cast(week_start_date - interval '7 days' as date) as previous_start_date,
        is_complete,
        event_count,
        visitor_count,
        session_count,
        converted_session_count,
        order_count,
        gross_revenue_amount
    from {{ ref("fct_weekly_metrics") }}
    union all
    select
        'month' as period_type,
        month_start_date as period_start_date,
        cast(month_start_date - interval '1 month' as date) as previous_start_date,
        is_complete,
        event_count,
        visitor_count,
        session_count,
        converted_session_count,
        order_count,
        gross_revenue_amount
    from {{ ref("fct_monthly_metrics") }}
),

-- A count is one per period, so an average of counts and one of rates is the same division of sums.
metrics as (
    select
        periods.period_type,
        periods.period_start_date,
        periods.previous_start_date,
        periods.is_complete,
        figures.metric,
        cast(figures.numerator as numeric(24, 4)) as numerator,
        cast(figures.denominator as bigint) as denominator,
        cast(figures.numerator / nullif(figures.denominator, 0) as numeric(28, 6)) as metric_value
    from periods
    cross join
        lateral (
            values
            ('event_count', cast(periods.event_count as numeric), 1),
            ('visitor_count', periods.visitor_count, 1),
            ('session_count', periods.session_count, 1),
            ('order_count', periods.order_count, 1),
            ('gross_revenue_amount', periods.gross_revenue_amount, 1),
            ('conversion_rate', periods.converted_session_count, periods.session_count),
            ('average_order_amount', periods.gross_revenue_amount, periods.order_count)
        ) as figures (metric, numerator, denominator)
),

-- Of a day these are 7 and 28 rows, of a week 1 and 4; fewer where the data begin or break off.
windows_summed as (
    select
        *,
        count(case when is_complete then 1 end) over seven_days as seven_days_count,
        sum(numerator) over seven_days as seven_days_numerator,
        sum(denominator) over seven_days as seven_days_denominator,
        count(case when is_complete then 1 end) over four_weeks as four_weeks_count,
        sum(numerator) over four_weeks as four_weeks_numerator,
        sum(denominator) over four_weeks as four_weeks_denominator
    from metrics
    window
        seven_days as (
            partition by period_type, metric
            order by period_start_date
            range between interval '6 days' preceding and current row
        ),
        four_weeks as (
            partition by period_type, metric
            order by period_start_date
            range between interval '27 days' preceding and current row
        )
),

final as (
    select
        periods.period_type,
        periods.period_start_date,
        periods.metric,
        periods.is_complete,
        periods.numerator,
        periods.denominator,
        periods.metric_value,
        previous.metric_value as previous_value,
        case
            when periods.is_complete and previous.is_complete
                then {{ change_rate("periods.metric_value", "previous.metric_value") }}
        end as change_rate,
        cast(
            case
                when periods.period_type = 'day' and periods.seven_days_count = 7
                    then
                        periods.seven_days_numerator / nullif(periods.seven_days_denominator, 0)
            end as numeric(28, 6)
        ) as seven_days_average_value,
        cast(
            case
                when
                    (periods.period_type = 'day' and periods.four_weeks_count = 28)
                    or (periods.period_type = 'week' and periods.four_weeks_count = 4)
                    then periods.four_weeks_numerator / nullif(periods.four_weeks_denominator, 0)
            end as numeric(28, 6)
        ) as four_weeks_average_value
    from windows_summed as periods
    left join metrics as previous
        on
            periods.period_type = previous.period_type
            and periods.metric = previous.metric
            and periods.previous_start_date = previous.period_start_date
)

select * from final
