with credits as (
    select
        {{ month_start("order_date") }} as month_start_date,
        channel,
        attribution_model,
        credit,
        attributed_revenue_amount,
        order_key
    from {{ ref("fct_attribution") }}
),

sessions as (
    select
        {{ month_start("session_date") }} as month_start_date,
        channel,
        is_converted
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

span as (
    select * from {{ ref("int_span_observed") }}
),

-- What was spent before the first month of the data, or after the last, cannot be judged by them.
costs as (
    select
        {{ month_start("channel_costs.cost_date") }} as month_start_date,
        channel_costs.channel,
        channel_costs.cost_amount,
        channel_costs.is_example
    from {{ ref("fct_channel_costs") }} as channel_costs
    inner join span
        on
            {{ month_start("channel_costs.cost_date") }} >= {{ month_start("span.first_date") }}
            and channel_costs.cost_date <= span.last_date
),

models as (
    {%- for model in [
        "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay",
        "markov"
    ] %}
        select '{{ model }}' as attribution_model
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

credits_aggregated as (
    select
        month_start_date,
        channel,
        attribution_model,
        count(distinct order_key) as credited_order_count,
        sum(credit) as attributed_order_count,
        sum(attributed_revenue_amount) as attributed_revenue_amount
    from credits
    group by month_start_date, channel, attribution_model
),

sessions_aggregated as (
    select
        month_start_date,
        channel,
        count(*) as session_count,
        count(case when is_converted then 1 end) as converted_session_count
    from sessions
    group by month_start_date, channel
),

costs_aggregated as (
    select
        month_start_date,
        channel,
        case when count(*) = count(cost_amount) then sum(cost_amount) end as cost_amount,
        max(case when is_example then 1 else 0 end) as example_count
    from costs
    group by month_start_date, channel
),

-- A channel may have sessions without credit, credit from a session of the month before, and costs
-- that brought neither.
months_of_channels as (
    select
        month_start_date,
        channel
    from sessions_aggregated
    union
    select
        month_start_date,
        channel
    from credits_aggregated
    union
    select
        month_start_date,
        channel
    from costs_aggregated
),

models_filled as (
    select
        months_of_channels.month_start_date,
        months_of_channels.channel,
        models.attribution_model,
        coalesce(sessions_aggregated.session_count, 0) as session_count,
        coalesce(sessions_aggregated.converted_session_count, 0) as converted_session_count,
        coalesce(credits_aggregated.credited_order_count, 0) as credited_order_count,
        coalesce(credits_aggregated.attributed_order_count, 0) as attributed_order_count,
        coalesce(credits_aggregated.attributed_revenue_amount, 0) as attributed_revenue_amount,
        costs_aggregated.cost_amount,
        coalesce(costs_aggregated.example_count, 0) > 0 as has_example_cost
    from months_of_channels
    cross join models
    left join sessions_aggregated
        on
            months_of_channels.month_start_date = sessions_aggregated.month_start_date
            and months_of_channels.channel = sessions_aggregated.channel
    left join credits_aggregated
        on
            months_of_channels.month_start_date = credits_aggregated.month_start_date
            and months_of_channels.channel = credits_aggregated.channel
            and models.attribution_model = credits_aggregated.attribution_model
    left join costs_aggregated
        on
            months_of_channels.month_start_date = costs_aggregated.month_start_date
            and months_of_channels.channel = costs_aggregated.channel
),

totals_added as (
    select
        *,
        sum(attributed_order_count)
            over (partition by month_start_date, attribution_model)
            as all_order_count,
        sum(attributed_revenue_amount) over (partition by month_start_date, attribution_model)
            as all_revenue_amount
    from models_filled
),

final as (
    select
        month_start_date,
        channel,
        attribution_model,
        session_count,
        converted_session_count,
        credited_order_count,
        cast(attributed_order_count as numeric(18, 6)) as attributed_order_count,
        cast(all_order_count as bigint) as all_order_count,
        {{ rate("attributed_order_count", "all_order_count") }} as order_share_rate,
        cast(attributed_revenue_amount as numeric(24, 4)) as attributed_revenue_amount,
        cast(all_revenue_amount as numeric(24, 4)) as all_revenue_amount,
        {{ rate("attributed_revenue_amount", "all_revenue_amount") }} as revenue_share_rate,
        cast(attributed_revenue_amount / nullif(session_count, 0) as numeric(24, 4))
            as revenue_per_session_amount,
        cast(cost_amount as numeric(24, 4)) as cost_amount,
        cast(cost_amount / nullif(attributed_order_count, 0) as numeric(24, 4))
            as cost_per_order_amount,
        cast(attributed_revenue_amount / nullif(cost_amount, 0) as numeric(28, 6)) as roas,
        has_example_cost
    from totals_added
)

select * from final
