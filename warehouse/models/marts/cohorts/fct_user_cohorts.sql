{%- set period_types = ["month", "week"] %}
with span as (
    select * from {{ ref("int_span_observed") }}
),

-- Days outside the span are those of a wrong clock: they would be cohorts and periods of their own.
visitor_days as (
    select
        visitor_days.user_key,
        visitor_days.event_date
    from {{ ref("int_visitor_days_aggregated") }} as visitor_days
    inner join span on visitor_days.event_date between span.first_date and span.last_date
    where {{ is_counted("visitor_days.is_bot") }}
),

orders as (
    select
        orders.user_key,
        orders.order_date,
        coalesce(orders.gross_amount, 0) as gross_amount
    from {{ ref("fct_orders") }} as orders
    inner join span on orders.order_date between span.first_date and span.last_date
    where {{ is_counted("orders.is_bot") }}
),

-- The day of an order is one on which its user was active, too.
active_days as (
    select
        'activity' as cohort_type,
        user_key,
        event_date as active_date,
        0 as gross_amount
    from visitor_days
    union all
    select
        'activity' as cohort_type,
        user_key,
        order_date as active_date,
        gross_amount
    from orders
    union all
    select
        'purchase' as cohort_type,
        user_key,
        order_date as active_date,
        gross_amount
    from orders
),

active_days_compared as (
    select
        *,
        min(active_date) over by_user as first_active_date,
        lag(active_date) over by_user as previous_active_date
    from active_days
    window by_user as (partition by user_key, cohort_type order by active_date)
),

-- Every period of the span, also those without any user.
periods as (
    {%- for period_type in period_types %}
        select
            '{{ period_type }}' as period_type,
            {{ period_start(period_type, "calendar.date_day") }} as period_start_date,
            max(calendar.date_day) + interval '1 day'
            = {{ later_by(period_start(period_type, "calendar.date_day"), 1, period_type) }}
                as is_over,
            row_number() over (order by {{ period_start(period_type, "calendar.date_day") }})
                as calendar_number
        from span
        cross join {{ days_between("span.first_date", "span.last_date") }} as calendar
        group by {{ period_start(period_type, "calendar.date_day") }}
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

-- A user's cohort is their first period of this kind, so period 0 holds all of them. A user counts
-- on their first day in a period: that is the cheapest way to count each once.
periods_aggregated as (
    {%- for period_type in period_types %}
        {%- set period_start_date = period_start(period_type, "active_date") %}
        select
            '{{ period_type }}' as period_type,
            cohort_type,
            {{ period_start(period_type, "first_active_date") }} as cohort_start_date,
            {{ period_start_date }} as period_start_date,
            count(*) filter (
                where previous_active_date is null or previous_active_date < {{ period_start_date }}
            ) as active_user_count,
            sum(gross_amount) as gross_revenue_amount
        from active_days_compared
        group by
            cohort_type,
            {{ period_start(period_type, "first_active_date") }},
            {{ period_start_date }}
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

cohorts as (
    select
        periods_aggregated.period_type,
        periods_aggregated.cohort_type,
        periods_aggregated.cohort_start_date,
        periods_aggregated.active_user_count as cohort_user_count,
        periods.calendar_number
    from periods_aggregated
    inner join periods
        on
            periods_aggregated.period_type = periods.period_type
            and periods_aggregated.cohort_start_date = periods.period_start_date
    where periods_aggregated.period_start_date = periods_aggregated.cohort_start_date
),

-- A period in which nobody of the cohort came is a row of zero, not a gap.
periods_filled as (
    select
        cohorts.period_type,
        cohorts.cohort_type,
        cohorts.cohort_start_date,
        periods.period_start_date,
        periods.calendar_number - cohorts.calendar_number as period_number,
        periods.is_over,
        cohorts.cohort_user_count,
        coalesce(periods_aggregated.active_user_count, 0) as active_user_count,
        coalesce(periods_aggregated.gross_revenue_amount, 0) as gross_revenue_amount
    from cohorts
    inner join periods
        on
            cohorts.period_type = periods.period_type
            and cohorts.calendar_number <= periods.calendar_number
    left join periods_aggregated
        on
            cohorts.period_type = periods_aggregated.period_type
            and cohorts.cohort_type = periods_aggregated.cohort_type
            and cohorts.cohort_start_date = periods_aggregated.cohort_start_date
            and periods.period_start_date = periods_aggregated.period_start_date
),

periods_compared as (
    select
        *,
        sum(gross_revenue_amount) over by_cohort as cumulative_revenue_amount,
        lag(active_user_count) over by_cohort as previous_active_user_count,
        lag(gross_revenue_amount) over by_cohort as previous_gross_revenue_amount
    from periods_filled
    window
        by_cohort as (
            partition by period_type, cohort_type, cohort_start_date
            order by period_number
        )
),

final as (
    select
        period_type,
        cohort_type,
        cohort_start_date,
        cast(period_number as integer) as period_number,
        period_start_date,
        is_over,
        cohort_user_count,
        active_user_count,
        {{ rate("active_user_count", "cohort_user_count") }} as retention_rate,
        previous_active_user_count,
        {{ change_rate("active_user_count", "previous_active_user_count") }}
            as active_user_count_change_rate,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(previous_gross_revenue_amount as numeric(24, 4)) as previous_gross_revenue_amount,
        {{ change_rate("gross_revenue_amount", "previous_gross_revenue_amount") }}
            as gross_revenue_change_rate,
        cast(cumulative_revenue_amount as numeric(24, 4)) as cumulative_revenue_amount,
        cast(cumulative_revenue_amount / nullif(cohort_user_count, 0) as numeric(24, 4))
            as cumulative_revenue_per_user_amount
    from periods_compared
)

select * from final
