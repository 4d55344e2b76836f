{#
The columns that hold a session's events together before gaps split them: the visitor, and where the
source decides (`session_source: source`) its own session id.
#}
{% macro session_scope(session_source=var("session_source")) -%}
    {%- if session_source == "source" -%}
        visitor_id, source_session_id
    {%- elif session_source == "derived" -%}
        visitor_id
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "session_source is '" ~ session_source ~ "'; it must be one of: derived, source."
        ) }}
    {%- endif -%}
{%- endmacro %}
