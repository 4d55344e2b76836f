{# The key of dim_devices, of three columns that may be null. #}
{% macro device_key(device_type="device_type", browser="browser", os="os") -%}
    {{ hash_key([
        "coalesce(" ~ device_type ~ ", '(unknown)')",
        "coalesce(" ~ browser ~ ", '(unknown)')",
        "coalesce(" ~ os ~ ", '(unknown)')",
    ]) }}
{%- endmacro %}
