with product_sessions as (
    select
        metric_date,
        product_id,
        row_sign,
        view_count,
        add_to_cart_count,
        remove_from_cart_count
    from {{ rows_of("int_product_sessions_aggregated") }} as product_sessions
    where {{ is_counted() }}
),

final as (
    select
        metric_date,
        product_id,
        sum(row_sign) as row_count,
        cast(sum(row_sign * view_count) as bigint) as view_count,
        cast(sum(row_sign * add_to_cart_count) as bigint) as add_to_cart_count,
        cast(sum(row_sign * remove_from_cart_count) as bigint) as remove_from_cart_count,
        sum(case when view_count > 0 then row_sign else 0 end) as view_session_count,
        sum(case when add_to_cart_count > 0 then row_sign else 0 end) as cart_session_count,
        sum(case when view_count > 0 and add_to_cart_count > 0 then row_sign else 0 end)
            as view_to_cart_session_count
    from product_sessions
    group by metric_date, product_id
)

select * from final
