{#
The chance of a chi-square of at least this much with a whole number of degrees of freedom, by the
finite sums of Abramowitz and Stegun, 26.4.4 (odd) and 26.4.5 (even). Terms are summed by their
logarithms, so that none over- or underflows. Null without a degree of freedom.
#}
{% macro chi_square_p_value(chi_square, degrees) -%}
    {%- set half = "(" ~ chi_square ~ " / 2)" -%}
    case
        when {{ degrees }} < 1 then null
        when {{ chi_square }} = 0 then 1
        when {{ chi_square }} > 1000 then 0
        when {{ degrees }} % 2 = 1
            then
                erfc(sqrt({{ half }}))
                + (
                    select
                        coalesce(
                            sum(
                                exp(
                                    (term - 0.5) * ln({{ half }}) - {{ half }}
                                    + term * ln(4.0)
                                    + cast(
                                        ln(factorial(term)) - ln(factorial(2 * term))
                                        as double precision
                                    )
                                ) / sqrt(pi())
                            ), 0
                        )
                    from generate_series(1, ({{ degrees }} - 1) / 2) as terms (term)
                )
        else
            (
                select
                    sum(
                        exp(
                            term * ln({{ half }}) - {{ half }}
                            - cast(ln(factorial(term)) as double precision)
                        )
                    )
                from generate_series(0, {{ degrees }} / 2 - 1) as terms (term)
            )
    end
{%- endmacro %}
