{#
The columns that hold a session's events together before gaps split them: the visitor, and with
`session_source: source` the source's own session id.
#}
{% macro session_scope() -%}
    {%- if var("session_source") == "source" -%}
        visitor_id, source_session_id
    {%- elif var("session_source") == "derived" -%}
        visitor_id
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "session_source is '" ~ var("session_source") ~ "'; it must be one of: derived, source."
        ) }}
    {%- endif -%}
{%- endmacro %}
