{# The first day of a date's month, or of its week: a Monday. #}
{% macro period_start(period_type, date) -%}
    cast(date_trunc('{{ period_type }}', cast({{ date }} as timestamp)) as date)
{%- endmacro %}
