{# The first day of a date's month. #}
{% macro month_start(date) -%}
    cast({{ dbt.date_trunc("month", "cast(" ~ date ~ " as timestamp)") }} as date)
{%- endmacro %}
