{#
  What holds of a model, as one test: `key`, columns that together name a row, and none of them
  null; `expressions`, each true or null of every row, as with a check constraint. All expressions
  are counted in one pass. A failing row of the result names the expression, or the key with the
  values that are there several times or null.
#}
{% test holds(model, key=[], expressions=[]) %}
{%- if expressions %}
with counts as (
    select
        {%- for expression in expressions %}
        count(*) filter (where not ({{ expression }})) as failed_{{ loop.index }}_count
        {{- "," if not loop.last }}
        {%- endfor %}
    from {{ model }}
)
{% endif -%}

{%- for expression in expressions %}
select
    '{{ expression | replace("'", "''") }}' as expression,
    failed_{{ loop.index }}_count as failed_count,
    null as key_values
from counts
where failed_{{ loop.index }}_count > 0
{{ "union all" if key or not loop.last }}
{%- endfor %}
{%- if key %}
select
    'key: {{ key | join(", ") }}' as expression,
    count(*) as failed_count,
    jsonb_build_array({{ key | join(", ") }})::text as key_values
from {{ model }}
group by {{ key | join(", ") }}
having count(*) > 1 or num_nulls({{ key | join(", ") }}) > 0
{%- endif %}
{% endtest %}
