{%- set steps = ["product_view", "add_to_cart", "purchase"] %}
with sessions as (
    select
        session_id,
        visitor_id,
        user_key,
        session_date,
        device_type,
        channel
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }} and {{ of_changed_sessions() }}
),

product_steps as (
    select
        session_id,
        product_id,
        event_id,
        event_type,
        event_at
    from {{ ref("int_session_product_steps") }}
    where {{ of_changed_sessions() }}
),

products as (
    select
        product_id,
        category
    from {{ ref("dim_products") }}
),

-- By the product's category, so that its view and its purchase are of one and the same, whatever
-- the events say or leave out.
category_steps as (
    select distinct
        product_steps.session_id,
        coalesce(products.category, '(unknown)') as category,
        product_steps.event_id,
        product_steps.event_type,
        product_steps.event_at
    from product_steps
    left join products on product_steps.product_id = products.product_id
),

funnels as (
    {{ funnel("category_steps", "session_id, category", steps) | indent(4) }}
),

final as (
    select
        sessions.session_id,
        funnels.category,
        sessions.visitor_id,
        sessions.user_key,
        sessions.session_date,
        sessions.device_type,
        sessions.channel,
        funnels.furthest_step_number,
        case funnels.furthest_step_number
            {%- for step in steps %}
                when {{ loop.index }} then '{{ step }}'
            {%- endfor %}
        end as furthest_step,
        {{ funnel_columns(steps) }}
    from funnels
    inner join sessions on funnels.session_id = sessions.session_id
)

-- The rows of a session lie together, for all who read changed sessions.
select * from final
order by session_id
