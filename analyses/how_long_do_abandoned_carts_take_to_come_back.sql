-- How many hours after the session do abandoned carts come back, and how much do they bring?
-- A reminder sent after most of them are back anyway is sent too late.
with carts as (
    select
        lost_revenue_amount,
        case
            when not is_recovered then 5
            when hours_to_recovery <= 1 then 1
            when hours_to_recovery <= 24 then 2
            when hours_to_recovery <= 72 then 3
            else 4
        end as wait_number
    from {{ ref("fct_carts") }}
    where is_abandoned and {{ is_counted() }}
)

select
    case wait_number
        when 1 then 'within an hour'
        when 2 then 'within a day'
        when 3 then 'within three days'
        when 4 then 'within {{ var("cart_recovery_days") }} days'
        else 'not yet'
    end as came_back,
    count(*) as cart_count,
    {{ rate("count(*)", "sum(count(*)) over ()") }} as cart_share_rate,
    sum(lost_revenue_amount) as cart_amount,
    round(avg(lost_revenue_amount), 2) as average_cart_amount
from carts
group by wait_number
order by wait_number
