with users as (
    select
        user_key,
        segment
    from {{ ref("dim_users") }}
),

today as (
    select last_date as as_of_date
    from {{ ref("int_span_observed") }}
)

select
    users.user_key,
    users.segment,
    today.as_of_date
from users
cross join today
