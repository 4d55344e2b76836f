{# The seconds from one timestamp to a later one, with their fraction. #}
{% macro seconds_between(earlier, later) -%}
    {{ adapter.dispatch("seconds_between")(earlier, later) }}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    extract(epoch from {{ later }} - {{ earlier }})
{%- endmacro %}

{% macro spark__seconds_between(earlier, later) -%}
    ((unix_micros({{ later }}) - unix_micros({{ earlier }})) / 1000000)
{%- endmacro %}
