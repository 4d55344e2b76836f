{# An amount in the reporting currency; null when a rate is missing. `rates` is int_exchange_rates. #}
{% macro converted_amount(amount, rates="rates") -%}
    round({{ amount }} * {{ rates }}.rate / {{ rates }}.reporting_rate, 4)
{%- endmacro %}
