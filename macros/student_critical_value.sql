{#
How many standard errors a two-sided 95 % interval of Student's t reaches to each side: Abramowitz
and Stegun 26.7.5, an expansion about the normal 1.959964. Exact to 0.0003 from 5 degrees of freedom
on, to 0.000003 from 10 on.
#}
{% macro student_critical_value(degrees) -%}
    {%- set z = 1.959963984540054 -%}
    {%- set terms = [
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    ] -%}
    (
        {{ z }}
        {%- for term in terms %} + {{ term }} / power({{ degrees }}, {{ loop.index }}){% endfor %}
    )
{%- endmacro %}
