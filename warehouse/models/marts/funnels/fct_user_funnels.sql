{%- set steps = ["product_view", "add_to_cart", "checkout_start", "purchase"] %}
with funnels as (
    {{ funnel(
        ref("fct_events"),
        "user_key",
        steps,
        window=var("user_funnel_window_days") ~ " days",
        where=is_counted() ~ " and " ~ of_changed_users() ~ " and "
            ~ of_changed_users("visitor_id", of="int_visitor_days_aggregated")
    ) | indent(4) }}
),

final as (
    select
        user_key,
        furthest_step_number,
        case furthest_step_number
            {%- for step in steps %}
                when {{ loop.index }} then '{{ step }}'
            {%- endfor %}
        end as furthest_step,
        {%- for step in steps %}
            {{ step }}_at,
        {%- endfor %}
        cast({{ seconds_between("product_view_at", "purchase_at") }} as numeric(12, 3))
            as product_view_to_purchase_seconds
    from funnels
)

select * from final
