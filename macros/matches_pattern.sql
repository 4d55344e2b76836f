{# Whether a text matches a regular expression, whatever its case; no pattern matches all. #}
{% macro matches_pattern(text, pattern) -%}
    {{ adapter.dispatch("matches_pattern")(text, pattern) }}
{%- endmacro %}

{% macro default__matches_pattern(text, pattern) -%}
    ({{ pattern }} is null or lower({{ text }}) ~ {{ pattern }})
{%- endmacro %}

{% macro spark__matches_pattern(text, pattern) -%}
    ({{ pattern }} is null or lower({{ text }}) rlike {{ pattern }})
{%- endmacro %}
