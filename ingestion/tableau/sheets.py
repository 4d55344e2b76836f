"""The workbook's contents: its sheets, and the dashboards that follow a customer's journey.

A shelf names columns of the sheet's report; `cart_date@week` is the week of a date.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sheet:
    """One picture of one report.

    `only` keeps the rows with one value of a column. `choose` is a filter for the reader, and the
    value it stands at; empty for all values. `largest_first` sorts the first row shelf by a figure.
    """

    name: str
    question: str
    report: str
    mark: str
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    color: str = ""
    label: str = ""
    detail: str = ""
    only: dict[str, str] = field(default_factory=dict)
    choose: dict[str, str] = field(default_factory=dict)
    largest_first: str = ""


@dataclass(frozen=True)
class Dashboard:
    """Sheets on one page, row by row."""

    name: str
    question: str
    rows: tuple[tuple[str, ...], ...]

    @property
    def sheets(self) -> tuple[str, ...]:
        """The names of its sheets."""
        return tuple(name for row in self.rows for name in row)


SHEETS = (
    Sheet(
        name="Revenue",
        question="What does the shop earn, day by day?",
        report="rpt_daily_kpis",
        mark="Line",
        rows=("net_revenue_amount", "order_count"),
        cols=("metric_date@day",),
    ),
    Sheet(
        name="Sessions and conversion",
        question="How many sessions come, and what share of them buys?",
        report="rpt_daily_kpis",
        mark="Line",
        rows=("session_count", "conversion_rate"),
        cols=("metric_date@day",),
    ),
    Sheet(
        name="Against the week before",
        question="By how much did sessions and net revenue change from week to week?",
        report="rpt_daily_kpis",
        mark="Bar",
        rows=("session_count_change_rate", "net_revenue_change_rate"),
        cols=("metric_date@week",),
    ),
    Sheet(
        name="Revenue by channel",
        question="Which channels earn the revenue?",
        report="rpt_channel_attribution",
        mark="Bar",
        rows=("channel",),
        cols=("attributed_revenue_amount", "revenue_per_session_amount"),
        choose={"attribution_model": "last_non_direct"},
        largest_first="attributed_revenue_amount",
    ),
    Sheet(
        name="Credit by model",
        question="How much does the answer depend on the attribution model?",
        report="rpt_channel_attribution",
        mark="Square",
        rows=("channel",),
        cols=("attribution_model",),
        color="revenue_share_rate",
        label="revenue_share_rate",
    ),
    Sheet(
        name="Return on ad spend",
        question="What does a unit of money spent on a paid channel bring back?",
        report="rpt_channel_attribution",
        mark="Bar",
        rows=("channel",),
        cols=("roas", "cost_per_order_amount"),
        only={"is_paid": "true"},
        choose={"attribution_model": "last_non_direct"},
    ),
    Sheet(
        name="Next steps",
        question="What do people do next?",
        report="rpt_customer_journey",
        mark="Square",
        rows=("from_step",),
        cols=("to_step",),
        color="transition_rate",
        label="transition_rate",
        choose={"device_type": ""},
    ),
    Sheet(
        name="Where sessions end",
        question="After which step do sessions end, and on which device?",
        report="rpt_customer_journey",
        mark="Bar",
        rows=("from_step",),
        cols=("transition_count",),
        color="device_type",
        only={"is_exit": "true"},
        choose={"device_type": ""},
        largest_first="transition_count",
    ),
    Sheet(
        name="Products by revenue",
        question="Which products earn the most?",
        report="rpt_product_performance",
        mark="Bar",
        rows=("product_name",),
        cols=("gross_revenue_amount",),
        color="category",
        choose={"category": ""},
        largest_first="gross_revenue_amount",
    ),
    Sheet(
        name="Views and carts",
        question="Which products are viewed much and put in carts seldom?",
        report="rpt_product_performance",
        mark="Circle",
        rows=("view_to_cart_rate",),
        cols=("view_session_count",),
        color="category",
        detail="product_name",
        choose={"category": ""},
    ),
    Sheet(
        name="Funnel",
        question="At which step are sessions lost?",
        report="rpt_conversion_funnel",
        mark="Bar",
        rows=("step_number", "step"),
        cols=("session_count",),
        label="overall_rate",
        choose={"device_type": "", "channel": ""},
    ),
    Sheet(
        name="Steps by device",
        question="On which devices does a step lose more?",
        report="rpt_conversion_funnel",
        mark="Square",
        rows=("step_number", "step"),
        cols=("device_type",),
        color="step_rate",
        label="step_rate",
        choose={"channel": ""},
    ),
    Sheet(
        name="Lost in carts",
        question="What is left in carts, and how much of it comes back?",
        report="rpt_cart_abandonment",
        mark="Line",
        rows=("lost_revenue_amount", "recovered_revenue_amount"),
        cols=("cart_date@week",),
        choose={"device_type": ""},
    ),
    Sheet(
        name="Carts by channel",
        question="Which channels bring carts that are left, and which that come back?",
        report="rpt_cart_abandonment",
        mark="Bar",
        rows=("channel",),
        cols=("abandonment_rate", "recovery_rate"),
        choose={"device_type": ""},
    ),
    Sheet(
        name="Segments",
        question="Who are the users, and what has a user of each segment brought?",
        report="rpt_user_segments",
        mark="Bar",
        rows=("segment_rank", "segment"),
        cols=("user_count", "net_revenue_per_user_amount"),
        label="user_share_rate",
    ),
    Sheet(
        name="Retention",
        question="What share of a month's users comes back in the months after?",
        report="rpt_cohort_retention",
        mark="Square",
        rows=("cohort_month@month",),
        cols=("period_number",),
        color="retention_rate",
        label="retention_rate",
        only={"is_over": "true"},
        choose={"cohort_type": "activity"},
    ),
    Sheet(
        name="Revenue per user",
        question="What has a user of each cohort brought so far?",
        report="rpt_cohort_retention",
        mark="Line",
        rows=("cumulative_revenue_per_user_amount",),
        cols=("period_number",),
        color="cohort_month@month",
        only={"is_over": "true"},
        choose={"cohort_type": "activity"},
    ),
)

DASHBOARDS = (
    Dashboard(
        name="The shop",
        question="How is the shop doing, against the same weekdays a week before?",
        rows=(("Revenue", "Sessions and conversion"), ("Against the week before",)),
    ),
    Dashboard(
        name="1 Arrive",
        question="Which channels bring people, and what are they worth?",
        rows=(("Revenue by channel", "Credit by model"), ("Return on ad spend",)),
    ),
    Dashboard(
        name="2 Look around",
        question="What do people do in a session, from its first event to its last?",
        rows=(("Next steps",), ("Where sessions end",)),
    ),
    Dashboard(
        name="3 Choose",
        question="Which products are viewed, put in carts and bought?",
        rows=(("Products by revenue", "Views and carts"),),
    ),
    Dashboard(
        name="4 Buy",
        question="At which step are sessions lost, and what is left in carts?",
        rows=(("Funnel", "Steps by device"), ("Lost in carts", "Carts by channel")),
    ),
    Dashboard(
        name="5 Come back",
        question="Who are the users, and who of them comes back?",
        rows=(("Segments", "Retention"), ("Revenue per user",)),
    ),
)
