{#
  The model has as many rows as another relation. Of a table of all events this is its key, at the
  price of two counts: event ids are unique in raw.events, and no_event_is_lost finds each there.
#}
{% test as_many_as(model, to) %}
with counts as (
    select
        (select count(*) from {{ model }}) as row_count,
        (select count(*) from {{ to }}) as expected_row_count
)

select *
from counts
where row_count <> expected_row_count
{% endtest %}
