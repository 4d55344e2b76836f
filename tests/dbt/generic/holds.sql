{#
  Each expression is true or null of every row, as with a check constraint. All of them are
  counted in one pass; a failing row of the result names the expression.
#}
{% test holds(model, expressions) %}
with counts as (
    select
        {%- for expression in expressions %}
        count(*) filter (where not ({{ expression }})) as failed_{{ loop.index }}_count
        {{- "," if not loop.last }}
        {%- endfor %}
    from {{ model }}
)

{% for expression in expressions -%}
select
    '{{ expression | replace("'", "''") }}' as expression,
    failed_{{ loop.index }}_count as failed_count
from counts
where failed_{{ loop.index }}_count > 0
{% if not loop.last %}union all{% endif %}
{% endfor %}
{% endtest %}
