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

channels as (
    select
        channel,
        is_paid
    from {{ ref("dim_channels") }}
),

models as (
    {%- for model in [
        "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay"
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

-- A channel may have sessions without credit, and credit from a session of the month before.
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
        coalesce(credits_aggregated.attributed_revenue_amount, 0) as attributed_revenue_amount
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
        totals_added.month_start_date,
        cast(totals_added.channel as varchar(64)) as channel,
        coalesce(channels.is_paid, false) as is_paid,
        cast(totals_added.attribution_model as varchar(20)) as attribution_model,
        totals_added.session_count,
        totals_added.converted_session_count,
        totals_added.credited_order_count,
        cast(totals_added.attributed_order_count as numeric(18, 6)) as attributed_order_count,
        cast(totals_added.all_order_count as bigint) as all_order_count,
        {{ rate("totals_added.attributed_order_count", "totals_added.all_order_count") }}
            as order_share_rate,
        cast(totals_added.attributed_revenue_amount as numeric(24, 4)) as attributed_revenue_amount,
        cast(totals_added.all_revenue_amount as numeric(24, 4)) as all_revenue_amount,
        {{ rate("totals_added.attributed_revenue_amount", "totals_added.all_revenue_amount") }}
            as revenue_share_rate,
        cast(
            totals_added.attributed_revenue_amount / nullif(totals_added.session_count, 0)
            as numeric(24, 4)
        ) as revenue_per_session_amount
    from totals_added
    left join channels on totals_added.channel = channels.channel
)

select * from final
