with segment_metrics as (
    select * from {{ ref("fct_segment_metrics") }}
),

final as (
    select
        segment_rank,
        cast(segment as varchar(20)) as segment,
        user_count,
        all_user_count,
        user_share_rate,
        identified_user_count,
        buyer_count,
        repeat_buyer_count,
        repeat_buyer_rate,
        session_count,
        order_count,
        gross_revenue_amount,
        refund_amount,
        net_revenue_amount,
        all_gross_revenue_amount,
        revenue_share_rate,
        average_session_count,
        average_order_count,
        average_order_amount,
        net_revenue_per_user_amount,
        average_days_since_last_seen,
        average_days_since_last_order
    from segment_metrics
)

select * from final
