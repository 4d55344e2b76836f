{# The first value at a JSON path, as text; null where there is none or only blanks. #}
{% macro json_text(json, path) -%}
    {{ adapter.dispatch("json_text")(json, path) }}
{%- endmacro %}

{% macro default__json_text(json, path) -%}
    nullif(trim(jsonb_path_query_first({{ json }}, '{{ path }}') #>> '{}'), '')
{%- endmacro %}

{% macro spark__json_text(json, path) -%}
    nullif(trim(get_json_object({{ json }}, '{{ path }}')), '')
{%- endmacro %}
