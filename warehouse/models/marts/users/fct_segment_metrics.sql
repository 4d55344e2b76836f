{%- set segments = ["High Value", "Converted", "Engaged", "New", "Inactive"] %}
with users as (
    select * from {{ ref("dim_users") }}
),

-- A segment without users is a row of zero.
segments as (
    {%- for segment in segments %}
        select
            {{ loop.index }} as segment_rank,
            '{{ segment }}' as segment
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
),

segments_aggregated as (
    select
        segments.segment_rank,
        segments.segment,
        count(users.user_key) as user_count,
        count(case when users.is_identified then 1 end) as identified_user_count,
        count(case when users.order_count > 0 then 1 end) as buyer_count,
        count(case when users.order_day_count > 1 then 1 end) as repeat_buyer_count,
        sum(coalesce(users.session_count, 0)) as session_count,
        sum(coalesce(users.order_count, 0)) as order_count,
        sum(coalesce(users.gross_revenue_amount, 0)) as gross_revenue_amount,
        sum(coalesce(users.refund_amount, 0)) as refund_amount,
        sum(coalesce(users.net_revenue_amount, 0)) as net_revenue_amount,
        avg(users.days_since_last_seen) as average_days_since_last_seen,
        avg(users.days_since_last_order) as average_days_since_last_order
    from segments
    left join users on segments.segment = users.segment
    group by segments.segment_rank, segments.segment
),

totals_added as (
    select
        *,
        sum(user_count) over () as all_user_count,
        sum(gross_revenue_amount) over () as all_gross_revenue_amount
    from segments_aggregated
),

final as (
    select
        segment_rank,
        segment,
        user_count,
        cast(all_user_count as bigint) as all_user_count,
        {{ rate("user_count", "all_user_count") }} as user_share_rate,
        identified_user_count,
        buyer_count,
        repeat_buyer_count,
        {{ rate("repeat_buyer_count", "buyer_count") }} as repeat_buyer_rate,
        cast(session_count as bigint) as session_count,
        cast(order_count as bigint) as order_count,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(refund_amount as numeric(24, 4)) as refund_amount,
        cast(net_revenue_amount as numeric(24, 4)) as net_revenue_amount,
        cast(all_gross_revenue_amount as numeric(24, 4)) as all_gross_revenue_amount,
        {{ rate("gross_revenue_amount", "all_gross_revenue_amount") }} as revenue_share_rate,
        cast(cast(session_count as numeric) / nullif(user_count, 0) as numeric(12, 4))
            as average_session_count,
        cast(cast(order_count as numeric) / nullif(user_count, 0) as numeric(12, 4))
            as average_order_count,
        cast(gross_revenue_amount / nullif(order_count, 0) as numeric(24, 4))
            as average_order_amount,
        cast(net_revenue_amount / nullif(user_count, 0) as numeric(24, 4))
            as net_revenue_per_user_amount,
        cast(average_days_since_last_seen as numeric(12, 2)) as average_days_since_last_seen,
        cast(average_days_since_last_order as numeric(12, 2)) as average_days_since_last_order
    from totals_added
)

select * from final
