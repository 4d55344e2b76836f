{# When a snapshot records a version: a timestamp with its zone, as all times here have. #}
{% macro postgres__snapshot_get_time() -%}
    {{ current_timestamp() }}
{%- endmacro %}
