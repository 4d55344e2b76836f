"""Retailrocket's events: what rows of the published format become, on this machine's engine."""

from __future__ import annotations

from typing import Any

import pytest

ROWS = """timestamp,visitorid,event,itemid,transactionid,page
1433221332117,11,view,501,,
1433221332117,11,view,501,,
1433221400000,11,addtocart,501,,
1433221500000,11,transaction,501,77,
1433221500000,11,transaction,502,77,
1433221600000,12,wish,501,,home
soon,12,view,501,,
1433221700000,,view,501,,
1433221800000,12,view,,,
"""


@pytest.mark.both_engines
def test_each_row_becomes_one_event_of_one_product(judge: Any) -> None:
    rows = judge(ROWS, "retailrocket", ".csv")
    assert [(row["event_type"], row["order_id"], row["reasons"]) for row in rows] == [
        ("product_view", None, []),
        ("product_view", None, []),
        ("add_to_cart", None, []),
        ("purchase", "77", []),
        ("purchase", "77", []),
        ("custom", None, []),
        ("product_view", None, ["invalid_event_ts"]),
        ("product_view", None, ["missing_visitor_id"]),
        ("product_view", None, ["missing_product_id"]),
    ]
    assert rows[0]["event_ts"].isoformat() == "2015-06-02T05:02:12.117000"
    assert (rows[5]["event_name"], rows[5]["properties"]) == ("wish", '{"page":"home"}')


def test_equal_rows_are_one_event_and_lines_of_an_order_are_not(judge: Any) -> None:
    rows = judge(ROWS, "retailrocket", ".csv")
    ids = [row["event_id"] for row in rows]
    assert ids[0] == ids[1]
    assert len(set(ids)) == len(ids) - 1
    assert [item["line_id"] for item in rows[3]["items"]] == [ids[3]]


def test_transactionid_may_be_absent(judge: Any) -> None:
    (row,) = judge(
        "timestamp,visitorid,event,itemid\n1433221332117,1,view,5\n", "retailrocket", ".csv"
    )
    assert (row["reasons"], row["order_id"]) == ([], None)
