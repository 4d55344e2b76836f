{# The two-sided p-value of a standard normal score. #}
{% macro normal_p_value(score) -%}
    erfc(abs({{ score }}) / sqrt(2))
{%- endmacro %}
