// The figures of the page Segments, by their ids.
"use strict";

function segmentBars(column, format, title) {
  return (color) => {
    const rows = rowsOf("segments");
    if (!total(rows, "user_count")) return null;
    const all_ = total(rows, column);
    const share = (row) => ratio(row[column], all_);
    return {
      ...bars(
        rows.map((row) => row.segment),
        rows.map((row) => row[column]),
        rows.map((row) => `${shown(row[column], "number")} (${shown(share(row), "percent")})`),
        color,
        { xaxis: { title: { text: title }, nticks: 5 } },
      ),
      columns: [
        ["Segment", "text"],
        [title, format],
        ["Share", "percent"],
      ],
      rows: rows.map((row) => [row.segment, row[column], share(row)]),
    };
  };
}

figures["segment-users"] = segmentBars("user_count", "number", "Users");
figures["segment-revenue"] = segmentBars(
  "net_revenue_amount",
  "amount",
  `Net revenue, ${words.currency}`,
);

figures.segments = () => {
  const rows = rowsOf("segments");
  if (!total(rows, "user_count")) return null;
  return {
    columns: [
      ["Segment", "text"],
      ["Users", "number"],
      ["Identified", "number"],
      ["Buyers", "number"],
      ["Repeat buyers", "number"],
      ["Sessions", "number"],
      ["Orders", "number"],
      ["Net revenue", "amount"],
      ["Per user", "amount"],
      ["Days since last seen", "decimal"],
    ],
    rows: rows.map((row) => [
      row.segment,
      row.user_count,
      row.identified_user_count,
      row.buyer_count,
      row.repeat_buyer_count,
      row.session_count,
      row.order_count,
      row.net_revenue_amount,
      ratio(row.net_revenue_amount, row.user_count),
      row.average_days_since_last_seen,
    ]),
  };
};

figures.scores = (color) => {
  const rows = rowsOf("scores");
  if (!rows.length) return null;
  const cells = rows.map((row) => ({
    x: row.frequency_score,
    y: row.recency_score,
    value: row.user_count,
    text: shown(row.user_count, "number"),
    hover: `Recency ${row.recency_score}, frequency ${row.frequency_score}: ${shown(row.user_count, "number")} users, ${shown(row.net_revenue_amount, "amount")} ${words.currency}`,
  }));
  return {
    ...heat([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], cells, color, {
      height: 320,
      xaxis: { title: { text: "Frequency: how many days with an order" } },
      yaxis: { title: { text: "Recency: how lately" } },
    }),
    columns: [
      ["Recency", "number"],
      ["Frequency", "number"],
      ["Users", "number"],
      ["Net revenue", "amount"],
    ],
    rows: rows.map((row) => [
      row.recency_score,
      row.frequency_score,
      row.user_count,
      row.net_revenue_amount,
    ]),
  };
};

figures.movements = (color) => {
  const rows = rowsOf("movements").filter(
    (row) => row.month_start_date === one("[data-filter-movement]").value,
  );
  if (!rows.length) return null;
  const order = rowsOf("segments").map((row) => row.segment);
  const names = [
    ...order,
    ...distinct(rows, "from_segment").filter((name) => !order.includes(name)),
  ];
  const links = rows.map((row) => ({
    from: row.from_segment,
    to: row.to_segment,
    value: row.user_count,
  }));
  return {
    ...flows(
      links,
      names,
      color,
      (link) => `${link.from} → ${link.to}: ${shown(link.value, "number")} users`,
    ),
    columns: [
      ["Before", "text"],
      ["After", "text"],
      ["Users", "number"],
    ],
    rows: links.map((link) => [link.from, link.to, link.value]),
  };
};

figures.prepare = () => {
  const movement = one("[data-filter-movement]");
  fill(movement, distinct(rowsOf("movements"), "month_start_date").reverse(), month);
  movement.closest("form").hidden = movement.options.length < 2;
};
