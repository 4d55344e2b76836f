with loads as (
    select max({{ reporting_date("committed_at") }}) as last_load_date
    from {{ ref("stg_ops__loads") }}
),

days as (
    select
        event_date,
        sum(credible_event_count) as credible_event_count
    from {{ ref("int_load_day_types_aggregated") }}
    group by event_date
),

days_in_order as (
    select
        *,
        row_number() over (order by event_date) as day_number,
        lag(event_date) over (order by event_date) as previous_event_date
    from days
),

stretch_starts_flagged as (
    select
        event_date,
        day_number,
        credible_event_count,
        -- The same bridge as in dim_dates.
        case
            when {{ elapsed_days("previous_event_date", "event_date") }} <= 366 then 0 else 1
        end as stretch_start_count
    from days_in_order
),

stretches_numbered as (
    select
        *,
        sum(stretch_start_count) over (order by event_date) as stretch_number
    from stretch_starts_flagged
),

-- What is usual on the 28 days with events before a day, and on those after it.
usual_days as (
    select
        days_in_order.event_date,
        percentile_cont(0.5) within group (order by neighbours.credible_event_count)
        filter (where neighbours.day_number < days_in_order.day_number) as usual_count_before,
        percentile_cont(0.5) within group (order by neighbours.credible_event_count)
        filter (where neighbours.day_number > days_in_order.day_number) as usual_count_after
    from days_in_order
    inner join days_in_order as neighbours
        on
            neighbours.credible_event_count > 0
            and neighbours.day_number between days_in_order.day_number - 28
            and days_in_order.day_number + 28
    group by days_in_order.event_date
),

stretches_measured as (
    select
        event_date,
        credible_event_count,
        sum(credible_event_count) over (partition by stretch_number) as stretch_event_count,
        sum(credible_event_count) over (order by event_date) as event_count_until,
        sum(credible_event_count) over (order by event_date desc) as event_count_from,
        sum(credible_event_count) over () as all_event_count
    from stretches_numbered
),

days_judged as (
    select
        stretches_measured.event_date,
        stretches_measured.credible_event_count > 0
        and stretches_measured.event_date
        <= coalesce(loads.last_load_date, stretches_measured.event_date)
        and stretches_measured.stretch_event_count
        >= {{ var("span_min_event_share") }} * stretches_measured.all_event_count
        -- A few events before the first full day or after the last are those of wrong clocks, too.
        and stretches_measured.event_count_from
        >= {{ var("span_end_day_share") }} * coalesce(usual_days.usual_count_before, 0)
        and stretches_measured.event_count_until
        >= {{ var("span_end_day_share") }} * coalesce(usual_days.usual_count_after, 0)
            as is_credible
    from stretches_measured
    cross join loads
    left join usual_days on stretches_measured.event_date = usual_days.event_date
),

final as (
    select
        coalesce(min(case when is_credible then event_date end), min(event_date)) as first_date,
        coalesce(max(case when is_credible then event_date end), max(event_date)) as last_date
    from days_judged
    having count(*) > 0
)

select * from final
