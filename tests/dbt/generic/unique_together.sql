{# The columns together name a row, and none of them is null. #}
{% test unique_together(model, columns) %}
select
    {{ columns | join(",\n    ") }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1 or num_nulls({{ columns | join(", ") }}) > 0
{% endtest %}
