{# An aggregate: the first value that is not null, in the given order. #}
{% macro first_known(value, order_by) -%}
    {{ adapter.dispatch("first_known")(value, order_by) }}
{%- endmacro %}

{% macro default__first_known(value, order_by) -%}
    (array_agg({{ value }} order by {{ order_by }}) filter (where {{ value }} is not null))[1]
{%- endmacro %}

{% macro spark__first_known(value, order_by) -%}
    min_by({{ value }}, {{ order_by }}) filter (where {{ value }} is not null)
{%- endmacro %}
