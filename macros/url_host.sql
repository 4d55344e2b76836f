{# The host of an absolute URL, lowercase, without "www.", port and user; null when it has none. #}
{% macro url_host(url) -%}
    {{ adapter.dispatch("url_host")(url) }}
{%- endmacro %}

{% macro default__url_host(url) -%}
    nullif(
        regexp_replace(
            lower(substring({{ url }} from '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#:]+)')),
            '^www[.]', ''
        ), ''
    )
{%- endmacro %}

{% macro spark__url_host(url) -%}
    nullif(regexp_replace(lower(parse_url({{ url }}, 'HOST')), '^www[.]', ''), '')
{%- endmacro %}
