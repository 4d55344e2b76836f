{#
  The model has the rows of another relation, each as often, as far as these columns go. Compared
  are the counts and the sums of a hash of each row: two passes, and nothing is sorted or joined.
  Where the columns hold a key of the other relation, they are a key of the model too.
#}
{% test same_rows_as(model, to, columns) %}
{%- set row_hash = "hash_record_extended(row(" ~ columns | join(", ") ~ "), 0)" %}
with own as (
    select
        count(*) as row_count,
        coalesce(sum({{ row_hash }}), 0) as hash_sum
    from {{ model }}
),

expected as (
    select
        count(*) as row_count,
        coalesce(sum({{ row_hash }}), 0) as hash_sum
    from {{ to }}
)

select
    own.row_count,
    expected.row_count as expected_row_count,
    own.hash_sum,
    expected.hash_sum as expected_hash_sum
from own
cross join expected
where row(own.*) is distinct from row(expected.*)
{% endtest %}
