with recursive visitors_seen as (
    select
        'visitor ' || visitor_id as node,
        max(load_id) as load_id
    from {{ ref("stg_raw__events") }}
    where {{ of_new_loads() }}
    group by visitor_id
),

orders_counted as (
    select
        'visitor ' || visitor_id as visitor_node,
        'order ' || order_id as order_node,
        count(*) over (partition by order_id) as visitor_count
    from {{ ref("int_order_visitors") }}
),

-- Visitors that share an order hang together: what one did decides whose the order is.
links as (
    select
        visitor_node as from_node,
        order_node as to_node
    from orders_counted
    where visitor_count > 1
    union all
    select
        order_node as from_node,
        visitor_node as to_node
    from orders_counted
    where visitor_count > 1
),

nodes_reached as (
    select
        node,
        load_id
    from visitors_seen
    union
    select
        links.to_node as node,
        nodes_reached.load_id
    from nodes_reached
    inner join links
        on nodes_reached.node = links.from_node
),

final as (
    select
        substring(node, length('visitor ') + 1) as visitor_id,
        max(load_id) as load_id
    from nodes_reached
    where node like 'visitor %'
    group by node
)

select * from final
