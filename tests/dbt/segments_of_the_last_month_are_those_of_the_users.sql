-- The last month ends with the data: followed month by month, or taken from all events at once, a
-- user has the same scores and the same segment.
with monthly as (
    select monthly.*
    from {{ ref("int_user_segments_monthly") }} as monthly
    inner join {{ ref("int_span_observed") }} as span on monthly.as_of_date = span.last_date
),

users as (
    select * from {{ ref("dim_users") }}
)

select
    coalesce(monthly.user_key, users.user_key) as user_key,
    monthly.segment as monthly_segment,
    users.segment
from monthly
full outer join users on monthly.user_key = users.user_key
where
    monthly.user_key is null
    or users.user_key is null
    or monthly.recency_score is distinct from users.recency_score
    or monthly.frequency_score is distinct from users.frequency_score
    or monthly.monetary_score is distinct from users.monetary_score
    or monthly.frequency is distinct from users.frequency
    or monthly.recency_days is distinct from users.recency_days
    or monthly.age_days is distinct from users.age_days
    or monthly.segment is distinct from users.segment
