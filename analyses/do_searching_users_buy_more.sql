-- Does a search lead to a purchase within a day, and at which step does it stop?
-- A funnel of one's own: name the steps, what holds the events together, and the window.
with funnels as (
    {{ funnel(
        ref("fct_events"),
        "user_key",
        ["search", "product_view", "add_to_cart", "purchase"],
        window="1 day",
        where=is_counted()
    ) | indent(4) }}
)

select
    furthest_step_number,
    count(*) as user_count,
    {{ rate("count(*)", "sum(count(*)) over ()") }} as user_rate
from funnels
group by furthest_step_number
order by furthest_step_number
