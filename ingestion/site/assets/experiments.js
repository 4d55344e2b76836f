// The figures of the page Experiments, by their ids.
"use strict";

figures.uplift = (color) => {
  const rows = rowsOf("results").filter((row) => !row.is_control);
  const kinds = [
    ["Conversion", "conversion", "one", -0.12],
    ["Revenue per visitor", "revenue", "two", 0.12],
  ];
  const points = rows
    .flatMap((row, i) =>
      kinds.map(([name, kind, hue, shift]) => ({
        name,
        hue,
        at: i + shift,
        label: `${row.experiment_id}: ${row.variant_id}`,
        value: row[`${kind}_uplift_rate`],
        low: row[`${kind}_uplift_low_rate`],
        high: row[`${kind}_uplift_high_rate`],
      })),
    )
    .filter((point) => point.value !== null);
  if (!points.length) return null;
  const described = (point) =>
    `${shown(point.value, "percent")} (${shown(point.low, "percent")} to ${shown(point.high, "percent")})`;
  const traces = kinds.map(([name, , hue]) => {
    const own = points.filter((point) => point.name === name);
    const arm = (edge) =>
      own.map((point) => (point[edge] === null ? 0 : Math.abs(point[edge] - point.value)));
    return {
      type: "scatter",
      mode: "markers",
      name,
      x: own.map((point) => point.value),
      y: own.map((point) => point.at),
      error_x: {
        type: "data",
        symmetric: false,
        array: arm("high"),
        arrayminus: arm("low"),
        color: color[hue],
        thickness: 2.5,
        width: 6,
      },
      marker: { color: color[hue], size: 12, symbol: hue === "one" ? "circle" : "square" },
      text: own.map((point) => `${plain(point.label)}, ${name.toLowerCase()}: ${described(point)}`),
      hoverinfo: "text",
    };
  });
  return {
    traces,
    layout: {
      height: 140 + 70 * rows.length,
      xaxis: {
        tickformat: "+.0%",
        nticks: isNarrow() ? 4 : 0,
        tickangle: 0,
        title: { text: "Uplift" },
        zeroline: true,
        zerolinewidth: 2,
        zerolinecolor: color.faint,
      },
      yaxis: {
        autorange: false,
        range: [rows.length - 0.5, -0.5],
        tickvals: rows.map((_, i) => i),
        ticktext: rows.map((row) => short(`${row.experiment_id}: ${row.variant_id}`, 26)),
        showgrid: false,
        zeroline: false,
      },
    },
    columns: [
      ["Experiment: variant", "text"],
      ["Of", "text"],
      ["Uplift", "percent"],
      ["From", "percent"],
      ["To", "percent"],
    ],
    rows: points.map((point) => [point.label, point.name, point.value, point.low, point.high]),
  };
};

figures.variants = () => {
  const rows = rowsOf("results");
  if (!rows.length) return null;
  return {
    columns: [
      ["Experiment", "text"],
      ["Variant", "text"],
      ["Visitors", "number"],
      ["Ordered", "number"],
      ["Conversion", "percent"],
      ["p", "p"],
      ["Revenue per visitor", "amount"],
      ["p of revenue", "p"],
      ["Saw several", "number"],
      ["Split p", "p"],
    ],
    rows: rows.map((row) => [
      row.experiment_id,
      row.variant_id + (row.is_control ? " (control)" : ""),
      row.visitor_count,
      row.converted_visitor_count,
      row.visitor_conversion_rate,
      row.conversion_p_value,
      row.revenue_per_visitor_amount,
      row.revenue_p_value,
      row.switched_visitor_count,
      row.sample_ratio_p_value,
    ]),
  };
};
