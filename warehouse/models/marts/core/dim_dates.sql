with event_dates as (
    select distinct event_date
    from {{ ref("int_visitor_days_aggregated") }}
),

gaps as (
    select
        event_date,
        lead(event_date, 1, event_date + 1) over (order by event_date) as next_event_date
    from event_dates
),

-- Days without events belong to the calendar, but not the decades to a clock that is wrong.
days as (
    select series.date_day
    from gaps
    cross join {{ days_between(
        "gaps.event_date",
        "case when gaps.next_event_date - gaps.event_date <= 366 then gaps.next_event_date - 1"
        ~ " else gaps.event_date end",
    ) }} as series
),

final as (
    select
        date_day,
        cast(extract(year from date_day) as integer) as year,
        cast(extract(quarter from date_day) as integer) as quarter,
        cast(extract(month from date_day) as integer) as month,
        cast(date_trunc('month', date_day) as date) as month_start_date,
        cast(date_trunc('week', date_day) as date) as week_start_date,
        cast(extract(day from date_day) as integer) as day_of_month,
        cast(extract(isodow from date_day) as integer) as day_of_week,
        to_char(date_day, 'FMDay') as day_name,
        to_char(date_day, 'FMMonth') as month_name,
        extract(isodow from date_day) in (6, 7) as is_weekend
    from days
)

select * from final
