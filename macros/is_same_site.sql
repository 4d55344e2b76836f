{# Whether two hosts are one, or one lies under the other; null when one is not known. #}
{% macro is_same_site(host, other_host) -%}
    (
        {{ host }} = {{ other_host }}
        or {{ host }} like '%.' || {{ other_host }}
        or {{ other_host }} like '%.' || {{ host }}
    )
{%- endmacro %}
