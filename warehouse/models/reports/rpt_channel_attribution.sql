with channel_metrics as (
    select * from {{ ref("fct_channel_metrics") }}
),

channels as (
    select
        channel,
        is_paid
    from {{ ref("dim_channels") }}
),

final as (
    select
        channel_metrics.month_start_date,
        cast(channel_metrics.channel as varchar(64)) as channel,
        coalesce(channels.is_paid, false) as is_paid,
        cast(channel_metrics.attribution_model as varchar(20)) as attribution_model,
        channel_metrics.session_count,
        channel_metrics.converted_session_count,
        channel_metrics.credited_order_count,
        channel_metrics.attributed_order_count,
        channel_metrics.all_order_count,
        channel_metrics.order_share_rate,
        channel_metrics.attributed_revenue_amount,
        channel_metrics.all_revenue_amount,
        channel_metrics.revenue_share_rate,
        channel_metrics.revenue_per_session_amount,
        channel_metrics.cost_amount,
        channel_metrics.cost_per_order_amount,
        channel_metrics.roas,
        channel_metrics.has_example_cost
    from channel_metrics
    left join channels on channel_metrics.channel = channels.channel
)

select * from final
