"""The pages: what each asks, and the queries on marts and reports that answer it.

A query has the parameters `first` and `last`, the days shown. Rows are aggregated so far that a
page stays small whatever the number of events: by day, month, channel and the like, or the largest
few of what has no bound, such as products.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page: its file's name, the words of its link, its question, its queries by name."""

    name: str
    title: str
    question: str
    queries: dict[str, str]

    @property
    def file(self) -> str:
        """The page's file in the site's folder."""
        return f"{self.name}.html"


OVERVIEW = Page(
    "index",
    "Overview",
    "How is the shop doing, and which days were out of the ordinary?",
    {
        "weeks": """
            select week_start_date, day_count, is_complete, visitor_count, session_count,
                add_to_cart_session_count, converted_session_count, order_count,
                gross_revenue_amount, net_revenue_amount, abandoned_cart_count, lost_revenue_amount
            from marts.fct_weekly_metrics
            where week_start_date between %(first)s::date - 6 and %(last)s::date
            order by week_start_date
        """,
        "trends": """
            select metric, period_start_date as metric_date, metric_value,
                seven_days_average_value
            from marts.fct_metric_trends
            where period_type = 'day'
                and period_start_date between %(first)s::date and %(last)s::date
            order by metric, metric_date
        """,
        "anomalies": """
            select metric, metric_date, metric_value, expected_value, expected_low_value,
                expected_high_value, direction
            from marts.fct_metric_anomalies
            where period_type = 'day' and is_anomaly
                and metric_date between %(first)s::date and %(last)s::date
            order by metric_date, metric
        """,
        "hour_anomalies": """
            select metric_date, hour_of_day, metric, metric_value, expected_value, direction
            from marts.fct_metric_anomalies
            where period_type = 'hour' and is_anomaly
                and metric_date between %(first)s::date and %(last)s::date
            order by abs(robust_z_score) desc, period_start_at, metric
            limit 50
        """,
        "hours": """
            select dim_dates.day_of_week, dim_dates.day_name, hours.hour_of_day,
                sum(hours.session_count) as session_count,
                count(distinct hours.metric_date) as day_count
            from marts.fct_hourly_metrics as hours
            inner join marts.dim_dates on hours.metric_date = dim_dates.date_day
            where hours.metric_date between %(first)s::date and %(last)s::date
            group by dim_dates.day_of_week, dim_dates.day_name, hours.hour_of_day
            order by dim_dates.day_of_week, hours.hour_of_day
        """,
    },
)

FUNNEL = Page(
    "funnel",
    "Funnel",
    "At which step are sessions lost, on which devices and from which channels?",
    {
        "sessions": """
            select session_date, device_type, channel,
                max(all_session_count) as session_count,
                sum(session_count) filter (where step = 'product_view') as product_view_count,
                sum(session_count) filter (where step = 'add_to_cart') as add_to_cart_count,
                sum(session_count) filter (where step = 'checkout_start') as checkout_start_count,
                sum(session_count) filter (where step = 'purchase') as purchase_count
            from reports.rpt_conversion_funnel
            where session_date between %(first)s::date and %(last)s::date
            group by session_date, device_type, channel
            order by session_date, device_type, channel
        """,
        "times": """
            select
                percentile_cont(0.5) within group (order by product_view_to_add_to_cart_seconds)
                    as add_to_cart_seconds,
                percentile_cont(0.5) within group (order by add_to_cart_to_checkout_start_seconds)
                    as checkout_start_seconds,
                percentile_cont(0.5) within group (order by checkout_start_to_purchase_seconds)
                    as purchase_seconds
            from marts.fct_session_funnels
            where session_date between %(first)s::date and %(last)s::date
        """,
        "users": """
            select furthest_step_number, count(*) as user_count
            from marts.fct_user_funnels
            group by furthest_step_number
            order by furthest_step_number
        """,
        "checkout": """
            select step_number, step, count(*) filter (where is_reached) as session_count
            from marts.fct_checkout_funnels
            where session_date between %(first)s::date and %(last)s::date
            group by step_number, step
            order by step_number
        """,
        "categories": """
            select category, count(*) as product_view_count,
                count(*) filter (where furthest_step_number >= 2) as add_to_cart_count,
                count(*) filter (where furthest_step_number >= 3) as purchase_count
            from marts.fct_category_funnels
            where session_date between %(first)s::date and %(last)s::date
            group by category
            order by product_view_count desc, category
            limit 15
        """,
    },
)

JOURNEYS = Page(
    "journeys",
    "Journeys",
    "What comes after what, from the first event of a session to the last?",
    {
        "transitions": """
            select month_start_date, device_type, from_step, to_step, transition_count,
                total_step_seconds
            from reports.rpt_customer_journey
            where month_start_date between date_trunc('month', %(first)s::date) and %(last)s::date
            order by month_start_date, device_type, from_step, to_step
        """,
        "paths": """
            select month_start_date, device_type, path_end, path_rank, journey_path, path_count,
                session_count
            from marts.fct_journey_paths
            where month_start_date between date_trunc('month', %(first)s::date) and %(last)s::date
            order by month_start_date, device_type, path_end, path_rank
        """,
        "pages": """
            select page_path, page_type, sum(session_count) as session_count,
                sum(entry_session_count) as entry_session_count,
                sum(exit_session_count) as exit_session_count,
                sum(bounce_session_count) as bounce_session_count
            from marts.fct_entry_exit_pages
            where month_start_date between date_trunc('month', %(first)s::date) and %(last)s::date
            group by page_path, page_type
            order by entry_session_count desc, page_path
            limit 25
        """,
    },
)

CARTS = Page(
    "carts",
    "Carts",
    "What is left in carts, and how much of it comes back?",
    {
        "carts": """
            select cart_date, device_type, channel, cart_count, purchased_cart_count,
                abandoned_cart_count, recovered_cart_count, lost_revenue_amount,
                recovered_revenue_amount
            from reports.rpt_cart_abandonment
            where cart_date between %(first)s::date and %(last)s::date
            order by cart_date, device_type, channel
        """,
        "products": """
            select coalesce(dim_products.product_name, carts.product_id) as product_name,
                sum(carts.cart_count) as cart_count,
                sum(carts.abandoned_cart_count) as abandoned_cart_count,
                sum(carts.recovered_cart_count) as recovered_cart_count,
                sum(carts.lost_revenue_amount) as lost_revenue_amount
            from marts.fct_product_carts as carts
            left join marts.dim_products on carts.product_id = dim_products.product_id
            where carts.cart_date between %(first)s::date and %(last)s::date
            group by carts.product_id, dim_products.product_name
            order by lost_revenue_amount desc nulls last, cart_count desc, carts.product_id
            limit 30
        """,
    },
)

PRODUCTS = Page(
    "products",
    "Products",
    "Which products are viewed, put in carts and bought, and which go together?",
    {
        "categories": """
            select month_start_date, category, sum(view_count) as view_count,
                sum(order_count) as order_count, sum(gross_revenue_amount) as gross_revenue_amount
            from reports.rpt_product_performance
            where month_start_date between date_trunc('month', %(first)s::date) and %(last)s::date
            group by month_start_date, category
            order by month_start_date, category
        """,
        "products": """
            with months as (
                select * from reports.rpt_product_performance
                where month_start_date
                    between date_trunc('month', %(first)s::date) and %(last)s::date
            ),
            top_products as (
                select product_id from months
                group by product_id
                order by sum(gross_revenue_amount) desc nulls last, sum(view_count) desc,
                    product_id
                limit 300
            )
            select month_start_date, product_id, product_name, category, view_count,
                view_session_count, cart_session_count, view_to_cart_session_count,
                cart_to_purchase_session_count, order_count, purchased_quantity,
                gross_revenue_amount
            from months
            inner join top_products using (product_id)
            order by month_start_date, revenue_rank
        """,
        "pairs": """
            with ranked as (
                select *, row_number() over (
                    partition by basis
                    order by pair_basket_count desc, lift desc, product_id, other_product_id
                ) as pair_number
                from marts.fct_product_affinity
                where product_id < other_product_id
            )
            select ranked.basis,
                coalesce(one.product_name, ranked.product_id) as product_name,
                coalesce(other.product_name, ranked.other_product_id) as other_product_name,
                ranked.pair_basket_count, ranked.basket_count, ranked.support_rate, ranked.lift
            from ranked
            left join marts.dim_products as one on ranked.product_id = one.product_id
            left join marts.dim_products as other on ranked.other_product_id = other.product_id
            where ranked.pair_number <= 50
            order by ranked.basis, ranked.pair_number
        """,
    },
)

ATTRIBUTION = Page(
    "attribution",
    "Attribution",
    "Which channels earn the orders, by seven models, and at what cost?",
    {
        "channels": """
            select month_start_date, channel, is_paid, attribution_model, session_count,
                attributed_order_count, attributed_revenue_amount, cost_amount, has_example_cost
            from reports.rpt_channel_attribution
            where month_start_date between date_trunc('month', %(first)s::date) and %(last)s::date
            order by month_start_date, channel, attribution_model
        """,
    },
)

COHORTS = Page(
    "cohorts",
    "Cohorts",
    "Who comes back, and what has each cohort brought so far?",
    {
        "cohorts": """
            select period_type, cohort_type, cohort_start_date, period_number, cohort_user_count,
                active_user_count, retention_rate, cumulative_revenue_per_user_amount, is_over
            from marts.fct_user_cohorts
            where cohort_start_date <= %(last)s::date
                and cohort_start_date > %(last)s::date
                    - case period_type when 'week' then interval '26 weeks'
                        else interval '24 months' end
            order by period_type, cohort_type, cohort_start_date, period_number
        """,
    },
)

SEGMENTS = Page(
    "segments",
    "Segments",
    "Who are the users, and what does each segment bring?",
    {
        "segments": """
            select segment_rank, segment, user_count, identified_user_count, buyer_count,
                repeat_buyer_count, session_count, order_count, gross_revenue_amount,
                net_revenue_amount, average_days_since_last_seen
            from reports.rpt_user_segments
            order by segment_rank
        """,
        "movements": """
            select month_start_date, from_segment, to_segment, user_count
            from marts.fct_user_segment_movements
            where month_start_date <= %(last)s::date
            order by month_start_date, from_segment, to_segment
        """,
        "scores": """
            select recency_score, frequency_score, count(*) as user_count,
                sum(net_revenue_amount) as net_revenue_amount
            from marts.dim_users
            where recency_score is not null and frequency_score is not null
            group by recency_score, frequency_score
            order by recency_score, frequency_score
        """,
    },
)

EXPERIMENTS = Page(
    "experiments",
    "Experiments",
    "Which variant wins, by how much, and can the split be trusted?",
    {
        "results": """
            select experiment_id, variant_id, is_control, visitor_count, switched_visitor_count,
                sample_ratio_p_value, converted_visitor_count, visitor_conversion_rate,
                conversion_uplift_rate, conversion_uplift_low_rate, conversion_uplift_high_rate,
                conversion_p_value, revenue_per_visitor_amount, revenue_uplift_rate,
                revenue_uplift_low_rate, revenue_uplift_high_rate, revenue_p_value
            from marts.fct_experiment_results
            order by experiment_id, is_control desc, variant_id
            limit 200
        """,
    },
)

QUALITY = Page(
    "quality",
    "Quality",
    "What became of every row read, and which days can be trusted?",
    {
        "totals": """
            select count(*) as load_count, sum(read_count) as read_count,
                sum(loaded_count) as loaded_count, sum(duplicate_count) as duplicate_count,
                sum(quarantined_count) as quarantined_count, sum(waiting_count) as waiting_count
            from marts.fct_load_quality
        """,
        "loads": """
            select load_id, source, committed_at, read_count, loaded_count, duplicate_count,
                quarantined_count, waiting_count, load_seconds
            from marts.fct_load_quality
            order by load_id desc
            limit 100
        """,
        "reasons": """
            select reason, sum(quarantined_count) as quarantined_count,
                sum(waiting_count) as waiting_count
            from marts.fct_quarantine_reasons
            group by reason
            order by quarantined_count desc, reason
        """,
        "days": """
            select metric_date, event_count, received_event_count, late_event_count,
                bot_event_count, unknown_user_event_count, missing_page_event_count,
                missing_product_event_count, missing_order_id_event_count,
                missing_price_line_count
            from marts.fct_tracking_quality
            where metric_date between %(first)s::date and %(last)s::date
            order by metric_date
        """,
        "volumes": """
            select metric_date, event_type, event_count, usual_event_count
            from marts.fct_event_type_volumes
            where is_unusual and metric_date between %(first)s::date and %(last)s::date
            order by metric_date desc, event_type
            limit 100
        """,
        "disagreement": """
            select sum(derived_session_count) as derived_session_count,
                sum(source_session_count) as source_session_count,
                sum(agreeing_session_count) as agreeing_session_count,
                sum(split_session_count) as split_session_count,
                sum(merged_session_count) as merged_session_count
            from marts.fct_session_disagreement
            where session_date between %(first)s::date and %(last)s::date
        """,
        "runaways": """
            select session_date, started_at, duration_seconds, event_count, is_bot
            from marts.fct_runaway_sessions
            order by event_count desc, session_id
            limit 20
        """,
    },
)

LINEAGE = Page(
    "lineage",
    "Lineage",
    "Where does each figure come from, and what depends on it?",
    {},
)

PAGES = (
    OVERVIEW,
    FUNNEL,
    JOURNEYS,
    CARTS,
    PRODUCTS,
    ATTRIBUTION,
    COHORTS,
    SEGMENTS,
    EXPERIMENTS,
    QUALITY,
    LINEAGE,
)

SPAN = """
    select
        greatest(min(metric_date), max(metric_date) - %(days)s + 1) as first,
        max(metric_date) as last
    from marts.fct_tracking_quality
    where is_in_span
"""
LAST_LOAD = "select max(committed_at) from marts.fct_load_quality"
