{# A table expression of one column, date_day: each day from `first` to `last`. #}
{% macro days_between(first, last) -%}
    {{ adapter.dispatch("days_between")(first, last) }}
{%- endmacro %}

{% macro default__days_between(first, last) -%}
    lateral (
        select cast(day_at as date) as date_day
        from generate_series({{ first }}, {{ last }}, interval '1 day') as series (day_at)
    )
{%- endmacro %}

{% macro spark__days_between(first, last) -%}
    lateral explode(sequence({{ first }}, {{ last }}))
{%- endmacro %}
