{# An id, or null where a tracker sent a placeholder instead of one. #}
{% macro usable_id(id) -%}
    case
        when lower(trim({{ id }})) not in ('', '(not set)', '0', 'null', 'undefined', 'none')
            then {{ id }}
    end
{%- endmacro %}
