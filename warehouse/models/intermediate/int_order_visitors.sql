select distinct
    order_id,
    visitor_id
from {{ ref("stg_raw__events") }}
where event_type in ('purchase', 'refund') and order_id is not null and {{ of_new_loads() }}
