{#
A table expression of one column, hour_at: the start of each hour of a day of the reporting time
zone. In steps of a quarter of an hour, because some zones lie half an hour off; from noon to noon,
because at midnight clocks may be set, and a midnight may come twice or never.
#}
{% macro hours_of_day(date) -%}
    lateral (
        select distinct {{ reporting_hour("moment") }} as hour_at
        from
            generate_series(
                ({{ date }} - interval '12 hours') at time zone '{{ var("reporting_timezone") }}',
                ({{ date }} + interval '36 hours') at time zone '{{ var("reporting_timezone") }}',
                interval '15 minutes'
            ) as series (moment)
        where {{ reporting_date("moment") }} = {{ date }}
    )
{%- endmacro %}
