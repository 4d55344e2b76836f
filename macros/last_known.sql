{# An aggregate over int_products_observed: the last value seen that is not null. #}
{% macro last_known(value) -%}
    (array_agg({{ value }} order by {{ bytewise("last_seen_moment") }} desc)
        filter (where {{ value }} is not null))[1]
{%- endmacro %}
