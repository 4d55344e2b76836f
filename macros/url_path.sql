{# The path of a URL without host, query and fragment; null where there is none. #}
{% macro url_path(url) -%}
    {{ adapter.dispatch("url_path")(url) }}
{%- endmacro %}

{# By splitting rather than by an expression: it runs on every event. #}
{% macro default__url_path(url) -%}
    {%- set page = "split_part(split_part(" ~ url ~ ", '?', 1), '#', 1)" -%}
    case
        when strpos({{ page }}, '://') > 0 then coalesce(
            nullif(
                substr(
                    {{ page }},
                    strpos({{ page }}, '://') + 3
                    + length(split_part(split_part({{ page }}, '://', 2), '/', 1))
                ), ''
            ), '/'
        )
        else nullif({{ page }}, '')
    end
{%- endmacro %}

{% macro spark__url_path(url) -%}
    coalesce(nullif(parse_url({{ url }}, 'PATH'), ''), '/')
{%- endmacro %}
