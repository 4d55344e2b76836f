with visitors as (
    select
        experiment_id,
        variant_id,
        variant_count,
        is_converted,
        order_count,
        gross_revenue_amount
    from {{ ref("fct_experiment_visitors") }}
    where {{ is_counted() }}
),

planned_variants as (
    select * from {{ ref("experiment_variants") }}
),

variants_aggregated as (
    select
        experiment_id,
        variant_id,
        count(*) as visitor_count,
        count(case when variant_count > 1 then 1 end) as switched_visitor_count,
        count(case when is_converted then 1 end) as converted_visitor_count,
        sum(order_count) as order_count,
        sum(gross_revenue_amount) as gross_revenue_amount,
        var_samp(gross_revenue_amount) as revenue_variance
    from visitors
    group by experiment_id, variant_id
),

variants_planned as (
    select
        variants_aggregated.*,
        coalesce(planned_variants.weight, 1) as weight,
        row_number() over (
            partition by variants_aggregated.experiment_id
            order by
                case when planned_variants.is_control then 1 else 2 end,
                case when lower(variants_aggregated.variant_id) = 'control' then 1 else 2 end,
                variants_aggregated.{{ bytewise("variant_id") }}
        ) as control_rank
    from variants_aggregated
    left join planned_variants
        on
            variants_aggregated.experiment_id = planned_variants.experiment_id
            and variants_aggregated.variant_id = planned_variants.variant_id
),

shares_expected as (
    select
        *,
        sum(visitor_count) over (partition by experiment_id) * weight
        / sum(weight) over (partition by experiment_id) as expected_visitor_count,
        count(*) over (partition by experiment_id) - 1 as degree_count
    from variants_planned
),

final as (
    select
        experiment_id,
        variant_id,
        control_rank = 1 as is_control,
        visitor_count,
        switched_visitor_count,
        cast(expected_visitor_count as numeric(28, 10)) as expected_visitor_count,
        cast(
            sum(power(visitor_count - expected_visitor_count, 2) / expected_visitor_count) over (
                partition by experiment_id
            ) as double precision
        ) as chi_square,
        cast(degree_count as integer) as degree_count,
        converted_visitor_count,
        cast(order_count as bigint) as order_count,
        cast(gross_revenue_amount as numeric(24, 4)) as gross_revenue_amount,
        cast(revenue_variance as numeric(38, 6)) as revenue_variance
    from shares_expected
)

select * from final
