{#
The start of a timestamp's hour in the reporting time zone, as a moment: the hour that is repeated
when clocks are set back has two starts.
#}
{% macro reporting_hour(timestamp) -%}
    date_trunc('hour', {{ timestamp }}, '{{ var("reporting_timezone") }}')
{%- endmacro %}
