-- Every row has its visitor, and the visitor's flag.
with visitors as (
    select
        visitor_id,
        is_bot
    from {{ ref("dim_visitors") }}
),

flags as (
    select
        'event' as row_kind,
        visitor_id,
        is_bot
    from {{ ref("fct_events") }}
    union all
    select
        'session' as row_kind,
        visitor_id,
        is_bot
    from {{ ref("fct_sessions") }}
    union all
    select
        'order' as row_kind,
        visitor_id,
        is_bot
    from {{ ref("fct_orders") }}
    union all
    select
        'cart' as row_kind,
        visitor_id,
        is_bot
    from {{ ref("fct_carts") }}
)

select distinct flags.*
from flags
left join visitors
    on flags.visitor_id = visitors.visitor_id
where flags.is_bot is distinct from visitors.is_bot
