with costs as (
    select * from {{ ref("channel_costs") }}
),

rates as (
    select * from {{ ref("int_exchange_rates") }}
),

costs_converted as (
    select
        costs.cost_date,
        costs.channel,
        costs.is_example,
        {{ converted_amount("costs.cost_amount") }} as cost_amount
    from costs
    left join rates
        on
            costs.currency = rates.currency
            and costs.cost_date >= rates.valid_from
            and costs.cost_date < rates.valid_until
),

final as (
    select
        cost_date,
        channel,
        -- A sum without the costs that have no rate would be too low.
        cast(
            case when count(*) = count(cost_amount) then sum(cost_amount) end as numeric(24, 4)
        ) as cost_amount,
        max(case when is_example then 1 else 0 end) = 1 as is_example
    from costs_converted
    group by cost_date, channel
)

select * from final
