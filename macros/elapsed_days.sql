{# The number of days from one date to a later one. #}
{% macro elapsed_days(earlier, later) -%}
    {{ adapter.dispatch("elapsed_days")(earlier, later) }}
{%- endmacro %}

{% macro default__elapsed_days(earlier, later) -%}
    ({{ later }} - {{ earlier }})
{%- endmacro %}

{% macro spark__elapsed_days(earlier, later) -%}
    datediff({{ later }}, {{ earlier }})
{%- endmacro %}
