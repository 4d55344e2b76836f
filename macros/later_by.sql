{# A timestamp moved on by a number of units (minute, day). #}
{% macro later_by(timestamp, number, unit) -%}
    {{ timestamp }} + interval '{{ number }} {{ unit }}'
{%- endmacro %}
