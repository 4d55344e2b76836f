-- Building a table anew drops the views on it, and dbt says nothing. All reports must exist, and
-- all their rows and columns be read: only that finds a division or a cast that fails.
{%- set reports = [
    ref("rpt_daily_kpis"),
    ref("rpt_conversion_funnel"),
    ref("rpt_customer_journey"),
    ref("rpt_user_segments"),
    ref("rpt_cohort_retention"),
    ref("rpt_product_performance"),
    ref("rpt_cart_abandonment"),
    ref("rpt_channel_attribution"),
] %}
with reports_counted as (
    {%- for report in reports %}
        select
            '{{ report.identifier }}' as report,
            (
                select count(*)
                from information_schema.views
                where
                    table_schema = '{{ report.schema }}'
                    and table_name = '{{ report.identifier }}'
            ) as view_count,
            (
                select coalesce(sum(length(cast(report as text))), 0)
                from {{ report }} as report
            ) as read_length
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
)

select *
from reports_counted
where view_count <> 1 or read_length is null
