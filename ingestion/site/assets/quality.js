// The figures of the page Quality, by their ids.
"use strict";

figures.reasons = (color) => {
  const rows = rowsOf("reasons");
  if (!rows.length) return null;
  return {
    ...bars(
      rows.map((row) => step(row.reason)),
      rows.map((row) => row.quarantined_count),
      rows.map((row) => shown(row.quarantined_count, "number")),
      color,
      { xaxis: { title: { text: "Rows" } } },
    ),
    columns: [
      ["Reason", "text"],
      ["Rows", "number"],
      ["Still waiting", "number"],
    ],
    rows: rows.map((row) => [row.reason, row.quarantined_count, row.waiting_count]),
  };
};

figures.loads = () => {
  const rows = rowsOf("loads");
  if (!rows.length) return null;
  return {
    columns: [
      ["Load", "number"],
      ["Source", "text"],
      ["Committed (UTC)", "text"],
      ["Read", "number"],
      ["Loaded", "number"],
      ["Duplicate", "number"],
      ["Quarantined", "number"],
      ["Waiting", "number"],
      ["Took", "seconds"],
    ],
    rows: rows.map((row) => [
      row.load_id,
      row.source,
      row.committed_at.slice(0, 16).replace("T", " "),
      row.read_count,
      row.loaded_count,
      row.duplicate_count,
      row.quarantined_count,
      row.waiting_count,
      row.load_seconds,
    ]),
  };
};

for (const [id, part, whole] of [
  ["late", "late_event_count", "received_event_count"],
  ["bots", "bot_event_count", "event_count"],
  ["unknown", "unknown_user_event_count", "event_count"],
]) {
  figures[id] = (color) => {
    const rows = chosen(rowsOf("days"));
    if (!total(rows, whole)) return null;
    const share = rows.map((row) => ratio(row[part], row[whole]));
    return {
      traces: [
        {
          type: "scatter",
          mode: rows.length < 8 ? "lines+markers" : "lines",
          x: rows.map((row) => row.metric_date),
          y: share,
          line: { color: color.one, width: 2 },
          text: share.map((value) => shown(value, "percent")),
          hovertemplate: "%{x}: %{text}<extra></extra>",
        },
      ],
      layout: { xaxis: days(rows, "metric_date"), yaxis: percentAxis },
      columns: [
        ["Day", "text"],
        ["Events", "number"],
        ["Of these", "number"],
        ["Share", "percent"],
      ],
      rows: rows.map((row, i) => [row.metric_date, row[whole], row[part], share[i]]),
    };
  };
}

figures.missing = () => {
  const rows = chosen(rowsOf("days"));
  if (!rows.length) return null;
  const kinds = [
    ["Events on a page without its URL", "missing_page_event_count"],
    ["Product events without a product", "missing_product_event_count"],
    ["Purchases without an order id", "missing_order_id_event_count"],
    ["Order lines without a price", "missing_price_line_count"],
  ];
  return {
    columns: [
      ["What", "text"],
      ["How many", "number"],
    ],
    rows: kinds.map(([name, column]) => [name, total(rows, column)]),
  };
};

figures.volumes = () => {
  const rows = chosen(rowsOf("volumes"));
  if (!rows.length) return null;
  return {
    columns: [
      ["Day", "text"],
      ["Event", "text"],
      ["Came", "number"],
      ["Usual", "decimal"],
    ],
    rows: rows.map((row) => [
      row.metric_date,
      step(row.event_type),
      row.event_count,
      row.usual_event_count,
    ]),
  };
};

figures.disagreement = () => {
  const [row] = rowsOf("disagreement");
  if (!row.source_session_count) return null;
  const of = (column) => [row[column], ratio(row[column], row.source_session_count)];
  return {
    columns: [
      ["Sessions", "text"],
      ["How many", "number"],
      ["Of the source's", "percent"],
    ],
    rows: [
      ["By gaps", row.derived_session_count, null],
      ["By the source", ...of("source_session_count")],
      ["Agreeing", ...of("agreeing_session_count")],
      ["Split by a gap", ...of("split_session_count")],
      ["Merged with another", ...of("merged_session_count")],
    ],
  };
};

figures.runaways = () => {
  const rows = rowsOf("runaways");
  if (!rows.length) return null;
  return {
    columns: [
      ["Day", "text"],
      ["Lasted", "seconds"],
      ["Events", "number"],
      ["Bot", "text"],
    ],
    rows: rows.map((row) => [
      row.session_date,
      row.duration_seconds,
      row.event_count,
      row.is_bot ? "yes" : "no",
    ]),
  };
};
