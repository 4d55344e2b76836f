{#
The standard normal score that is as unlikely as |t| of Student's t with any number of degrees of
freedom: G. W. Hill, Algorithm 395, Communications of the ACM 13 (1970). Its p-value is exact to
1e-6 from 5 degrees on, to 1e-8 from 10 on.
#}
{% macro student_score(t, degrees) -%}
    {%- set a = "(" ~ degrees ~ " - 0.5)" -%}
    {%- set b = "(48 * power(" ~ a ~ ", 2))" -%}
    {%- set y = "(" ~ a ~ " * ln(1 + power(" ~ t ~ ", 2) / " ~ degrees ~ "))" -%}
    (
        (
            (((-0.4 * {{ y }} - 3.3) * {{ y }} - 24) * {{ y }} - 85.5)
            / (0.8 * power({{ y }}, 2) + 100 + {{ b }})
            + {{ y }} + 3
        ) / {{ b }} + 1
    ) * sqrt({{ y }})
{%- endmacro %}
