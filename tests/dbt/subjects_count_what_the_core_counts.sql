-- A figure reached in two ways is the same: a subject that loses or repeats sessions, users, orders
-- or pieces shows here.
with orders as (
    select
        count(distinct user_key) as buyer_count,
        coalesce(sum(gross_amount), 0) as gross_amount
    from {{ ref("fct_orders") }}
    where {{ is_counted() }}
),

sessions as (
    select count(*) as session_count
    from {{ ref("fct_sessions") }}
    where {{ is_counted() }}
),

order_items as (
    select coalesce(sum(quantity), 0) as item_quantity
    from {{ ref("fct_order_items") }}
    where {{ is_counted() }}
),

carts as (
    select count(*) as cart_count
    from {{ ref("fct_carts") }}
    where {{ is_counted() }}
),

-- Cohorts leave out the days of wrong clocks.
cohort_users as (
    select count(distinct visitor_days.user_key) as user_count
    from {{ ref("int_visitor_days_aggregated") }} as visitor_days
    inner join {{ ref("int_span_observed") }} as span
        on visitor_days.event_date between span.first_date and span.last_date
    where {{ is_counted("visitor_days.is_bot") }}
),

cohort_orders as (
    select
        count(distinct orders.user_key) as buyer_count,
        coalesce(sum(orders.gross_amount), 0) as gross_amount
    from {{ ref("fct_orders") }} as orders
    inner join {{ ref("int_span_observed") }} as span
        on orders.order_date between span.first_date and span.last_date
    where {{ is_counted("orders.is_bot") }}
),

users as (
    select count(*) as user_count
    from {{ ref("int_users_aggregated") }}
),

dates as (
    select count(*) as day_count
    from {{ ref("dim_dates") }}
),

figures as (
    select
        'sessions with a funnel' as figure,
        (
            select count(*)
            from {{ ref("fct_session_funnels") }}
        ) as subject_figure,
        (select session_count from sessions) as core_figure
    union all
    select
        'sessions of the funnel report' as figure,
        (
            select coalesce(sum(session_count), 0)
            from {{ ref("rpt_conversion_funnel") }}
            where step_number = 0
        ) as subject_figure,
        (select session_count from sessions) as core_figure
    union all
    select
        'sessions of the channels' as figure,
        (
            select coalesce(sum(session_count), 0)
            from {{ ref("rpt_channel_attribution") }}
            where attribution_model = 'last_touch'
        ) as subject_figure,
        (select session_count from sessions) as core_figure
    union all
    select
        'journeys started' as figure,
        (
            select coalesce(sum(transition_count), 0)
            from {{ ref("fct_journey_transitions") }}
            where from_step = '(start)'
        ) as subject_figure,
        (select session_count from sessions) as core_figure
    union all
    select
        'journeys ended' as figure,
        (
            select coalesce(sum(transition_count), 0)
            from {{ ref("fct_journey_transitions") }}
            where to_step = '(exit)'
        ) as subject_figure,
        (select session_count from sessions) as core_figure
    union all
    select
        'users of all segments' as figure,
        (
            select coalesce(sum(user_count), 0)
            from {{ ref("rpt_user_segments") }}
        ) as subject_figure,
        (select user_count from users) as core_figure
    union all
    {%- for period_type in ["month", "week"] %}
        select
            'users of all activity cohorts by {{ period_type }}' as figure,
            (
                select coalesce(sum(cohort_user_count), 0)
                from {{ ref("fct_user_cohorts") }}
                where
                    period_type = '{{ period_type }}'
                    and cohort_type = 'activity'
                    and period_number = 0
            ) as subject_figure,
            (select user_count from cohort_users) as core_figure
        union all
        select
            'buyers of all purchase cohorts by {{ period_type }}' as figure,
            (
                select coalesce(sum(cohort_user_count), 0)
                from {{ ref("fct_user_cohorts") }}
                where
                    period_type = '{{ period_type }}'
                    and cohort_type = 'purchase'
                    and period_number = 0
            ) as subject_figure,
            (select buyer_count from cohort_orders) as core_figure
        union all
        select
            'revenue of all activity cohorts by {{ period_type }}' as figure,
            (
                select coalesce(sum(gross_revenue_amount), 0)
                from {{ ref("fct_user_cohorts") }}
                where
                    period_type = '{{ period_type }}'
                    and cohort_type = 'activity'
            ) as subject_figure,
            (select gross_amount from cohort_orders) as core_figure
        union all
        select
            'revenue of all purchase cohorts by {{ period_type }}' as figure,
            (
                select coalesce(sum(gross_revenue_amount), 0)
                from {{ ref("fct_user_cohorts") }}
                where
                    period_type = '{{ period_type }}'
                    and cohort_type = 'purchase'
            ) as subject_figure,
            (select gross_amount from cohort_orders) as core_figure
        union all
    {%- endfor %}
    select
        'revenue of the channels' as figure,
        (
            select coalesce(sum(attributed_revenue_amount), 0)
            from {{ ref("rpt_channel_attribution") }}
            where attribution_model = 'last_touch'
        ) as subject_figure,
        (select gross_amount from orders) as core_figure
    union all
    select
        'pieces of all products' as figure,
        (
            select coalesce(sum(purchased_quantity), 0)
            from {{ ref("rpt_product_performance") }}
        ) as subject_figure,
        (select item_quantity from order_items) as core_figure
    union all
    select
        'carts' as figure,
        (
            select coalesce(sum(cart_count), 0)
            from {{ ref("rpt_cart_abandonment") }}
        ) as subject_figure,
        (select cart_count from carts) as core_figure
    union all
    select
        'days' as figure,
        (
            select count(*)
            from {{ ref("rpt_daily_kpis") }}
        ) as subject_figure,
        (select day_count from dates) as core_figure
)

select *
from figures
where subject_figure is distinct from core_figure
