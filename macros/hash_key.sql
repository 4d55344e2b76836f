{# The key of the values: an md5 with a separator that no id holds. Null when any value is null. #}
{% macro hash_key(values) -%}
    {{ adapter.dispatch("hash_key")(values) }}
{%- endmacro %}

{% macro default__hash_key(values) -%}
    cast(md5({{ values | join(" || chr(31) || ") }}) as uuid)
{%- endmacro %}

{% macro spark__hash_key(values) -%}
    md5({{ values | join(" || chr(31) || ") }})
{%- endmacro %}
