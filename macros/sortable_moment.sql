{# An event's place in the order of events as one text, so that an aggregate can take the last. #}
{% macro sortable_moment(event_at, event_id) -%}
    {{ adapter.dispatch("sortable_moment")(event_at, event_id) }}
{%- endmacro %}

{% macro default__sortable_moment(event_at, event_id) -%}
    to_char({{ event_at }} at time zone 'UTC', 'YYYYMMDDHH24MISSUS') || {{ bytewise(event_id) }}
{%- endmacro %}

{% macro spark__sortable_moment(event_at, event_id) -%}
    lpad(unix_micros({{ event_at }}), 17, '0') || {{ event_id }}
{%- endmacro %}
