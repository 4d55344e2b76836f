-- Which channels bring users in, and which close the sale?
-- A channel that earns more by its first touches than by its last ones feeds the others: judged by
-- last touch alone it would be cut.
select
    channel,
    sum(case when attribution_model = 'first_touch' then attributed_revenue_amount end)
        as first_touch_revenue_amount,
    sum(case when attribution_model = 'last_touch' then attributed_revenue_amount end)
        as last_touch_revenue_amount,
    sum(case when attribution_model = 'position_based' then attributed_revenue_amount end)
        as position_based_revenue_amount,
    sum(
        case attribution_model
            when 'first_touch' then attributed_revenue_amount
            when 'last_touch' then -attributed_revenue_amount
        end
    ) as opened_rather_than_closed_amount
from {{ ref("rpt_channel_attribution") }}
group by channel
order by opened_rather_than_closed_amount desc, channel asc
