{# By what share of its former value a figure changed: 0.1 is 10 % more. Null where it was 0. #}
{% macro change_rate(now, before) -%}
    cast(
        cast({{ now }} - {{ before }} as numeric) / nullif(abs({{ before }}), 0) as numeric(28, 6)
    )
{%- endmacro %}
