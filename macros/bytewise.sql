{# A text by whose bytes rows are ordered: the same order on every server and engine. #}
{% macro bytewise(text) -%}
    {{ adapter.dispatch("bytewise")(text) }}
{%- endmacro %}

{% macro default__bytewise(text) -%}
    {{ text }}
{%- endmacro %}

{% macro postgres__bytewise(text) -%}
    {{ text }} collate "C"
{%- endmacro %}
