{# Whether metrics count a row: bots are left out while exclude_bots is true. #}
{% macro is_counted(is_bot="is_bot") -%}
    {{ "not " ~ is_bot if var("exclude_bots") else "true" }}
{%- endmacro %}
