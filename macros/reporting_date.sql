{# The day of a timestamp in the reporting time zone. #}
{% macro reporting_date(timestamp) -%}
    {{ adapter.dispatch("reporting_date")(timestamp) }}
{%- endmacro %}

{% macro default__reporting_date(timestamp) -%}
    cast({{ timestamp }} at time zone '{{ var("reporting_timezone") }}' as date)
{%- endmacro %}

{% macro spark__reporting_date(timestamp) -%}
    cast(from_utc_timestamp({{ timestamp }}, '{{ var("reporting_timezone") }}') as date)
{%- endmacro %}
