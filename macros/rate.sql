{# A share of 0 to 1; null where there is nothing to take a share of. #}
{% macro rate(numerator, denominator) -%}
    cast(cast({{ numerator }} as numeric) / nullif({{ denominator }}, 0) as numeric(9, 6))
{%- endmacro %}
