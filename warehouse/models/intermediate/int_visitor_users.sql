select distinct
    visitor_id,
    user_id
from {{ ref("stg_raw__events") }}
where user_id is not null and {{ of_new_loads() }}
