"""What the metrics of the semantic layer come to, by their own definitions in dbt's manifest.

A second, small reading of dbt's specification of semantic models and metrics
(https://docs.getdbt.com/docs/build/metrics-overview): a simple metric is a measure, aggregated over
the rows of its model that its filters let through; a ratio is one metric by another; a derived
metric is an expression of others, some of them of an earlier day. Cumulative metrics are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

Rows = list[tuple[Any, ...]]
Values = dict[tuple[Any, ...], Any]

AGGREGATES = {
    "average": "avg({})",
    "count": "count({})",
    "count_distinct": "count(distinct {})",
    "sum": "sum({})",
    "sum_boolean": "count(*) filter (where {})",
}
FILTERED = re.compile(r"\{\{ Dimension\('(\w+)__(\w+)'\) \}\}")


@dataclass(frozen=True)
class Metrics:
    """The metrics of a manifest, reckoned by a function that runs SQL."""

    manifest: dict[str, Any]
    query: Callable[[str], Rows]

    def values(self, name: str, keys: Sequence[str] = ("metric_time",), by: Any = ()) -> Values:
        """Return the metric's value for each combination of keys; `by` are filters from above."""
        metric = self.manifest["metrics"][f"metric.clickmart.{name}"]
        filters = [*by, *(part["where_sql_template"] for part in _filters(metric))]
        of_kind = {"simple": self._simple, "ratio": self._ratio, "derived": self._derived}
        return of_kind[metric["type"]](metric["type_params"], keys, filters)

    def _simple(self, parameters: Any, keys: Sequence[str], filters: list[str]) -> Values:
        measure_name = parameters["measure"]["name"]
        model, measure = next(
            (model, measure)
            for model in self.manifest["semantic_models"].values()
            for measure in model["measures"]
            if measure["name"] == measure_name
        )
        dimensions = {one["name"]: one["expr"] or one["name"] for one in model["dimensions"]}
        dimensions["metric_time"] = dimensions[model["defaults"]["agg_time_dimension"]]
        conditions = [
            FILTERED.sub(lambda found: f"({dimensions[found[2]]})", text) for text in filters
        ]
        shown = ", ".join(dimensions[key] for key in keys)
        aggregate = AGGREGATES[measure["agg"]].format(measure["expr"])
        rows = self.query(
            f"select {shown}, {aggregate} from {model['node_relation']['relation_name']} "
            f"where {' and '.join(conditions) or 'true'} group by {shown}"
        )
        return {row[:-1]: row[-1] for row in rows}

    def _ratio(self, parameters: Any, keys: Sequence[str], filters: list[str]) -> Values:
        above = self.values(parameters["numerator"]["name"], keys, filters)
        below = self.values(parameters["denominator"]["name"], keys, filters)
        return {
            key: Decimal(above.get(key) or 0) / Decimal(value) if value else None
            for key, value in below.items()
        }

    def _derived(self, parameters: Any, keys: Sequence[str], filters: list[str]) -> Values:
        inputs = {
            one["alias"] or one["name"]: _moved(
                self.values(one["name"], keys, filters), one["offset_window"]
            )
            for one in parameters["metrics"]
        }
        names = ", ".join(inputs)
        return {
            key: self.query(
                f"select {parameters['expr']} from (values ("
                + ", ".join(
                    f"cast({values.get(key) or 0} as numeric)" for values in inputs.values()
                )
                + f")) as inputs ({names})"
            )[0][0]
            for key in set().union(*inputs.values())
        }


def _filters(metric: Any) -> list[Any]:
    return metric["filter"]["where_filters"] if metric["filter"] else []


def _moved(values: Values, window: Any) -> Values:
    if not window:
        return values
    assert window["granularity"].startswith("day")
    return {(day + timedelta(days=window["count"]),): value for (day,), value in values.items()}
