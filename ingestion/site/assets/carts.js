// The figures of the page Carts, by their ids.
"use strict";

const CART_SUMS = [
  "cart_count",
  "purchased_cart_count",
  "abandoned_cart_count",
  "recovered_cart_count",
  "lost_revenue_amount",
  "recovered_revenue_amount",
];

figures.kpis = () => {
  const rows = chosen(rowsOf("carts"));
  const [carts, , abandoned, recovered, lost, back] = CART_SUMS.map((column) =>
    total(rows, column),
  );
  return [
    ["Carts", carts, "number"],
    ["Abandoned", ratio(abandoned, carts), "percent"],
    ["Of these recovered", ratio(recovered, abandoned), "percent"],
    [`Left in carts, ${words.currency}`, lost, "amount"],
    [`Came back, ${words.currency}`, back, "amount"],
  ];
};

/** Stacked bars over time: [name, value of a row, colour's name]. */
function stacked(rows, parts, title, color, axis) {
  const bar = period(rows, "cart_date");
  const sums = summed(rows, bar.of, CART_SUMS).sort(by("key"));
  const traces = parts.map(([name, value, hue]) => ({
    type: "bar",
    name,
    x: sums.map((row) => row.key),
    y: sums.map(value),
    marker: { color: color[hue] },
    hovertemplate: `%{y:,.0f} ${name.toLowerCase()}<extra></extra>`,
  }));
  return {
    traces,
    layout: {
      barmode: "stack",
      hovermode: "x unified",
      xaxis: { ...dates(sums, "key", bar.isWeekly), title: { text: bar.title } },
      yaxis: { ...axis },
    },
    columns: [[bar.title, "text"], ...parts.map(([name]) => [name, title])],
    rows: sums.map((row) => [row.key, ...parts.map(([, value]) => value(row))]),
  };
}

figures.outcomes = (color) => {
  const rows = chosen(rowsOf("carts"));
  return rows.length
    ? stacked(
        rows,
        [
          ["Purchased", (row) => row.purchased_cart_count, "one"],
          ["Abandoned, recovered", (row) => row.recovered_cart_count, "three"],
          ["Abandoned, lost", (row) => row.abandoned_cart_count - row.recovered_cart_count, "two"],
        ],
        "number",
        color,
      )
    : null;
};

figures.lost = (color) => {
  const rows = chosen(rowsOf("carts"));
  return total(rows, "lost_revenue_amount")
    ? stacked(
        rows,
        [
          ["Came back", (row) => row.recovered_revenue_amount, "three"],
          ["Lost", (row) => row.lost_revenue_amount - row.recovered_revenue_amount, "two"],
        ],
        "amount",
        color,
      )
    : null;
};

for (const [id, column, name] of [
  ["carts-by-channel", "channel", "Channel"],
  ["carts-by-device", "device_type", "Device"],
]) {
  figures[id] = () => {
    const sums = summed(chosen(rowsOf("carts")), column, CART_SUMS).sort(by("cart_count", -1));
    if (!sums.length) return null;
    return {
      columns: [
        [name, "text"],
        ["Carts", "number"],
        ["Abandoned", "percent"],
        ["Recovered", "percent"],
        ["Lost", "amount"],
      ],
      rows: sums.map((row) => [
        row.key,
        row.cart_count,
        ratio(row.abandoned_cart_count, row.cart_count),
        ratio(row.recovered_cart_count, row.abandoned_cart_count),
        row.lost_revenue_amount - row.recovered_revenue_amount,
      ]),
    };
  };
}

figures["cart-products"] = () => {
  const rows = rowsOf("products").filter((row) => row.abandoned_cart_count);
  if (!rows.length) return null;
  return {
    columns: [
      ["Product", "text"],
      ["Carts", "number"],
      ["Abandoned", "percent"],
      ["Recovered", "percent"],
      ["Left in carts", "amount"],
    ],
    rows: rows.map((row) => [
      row.product_name,
      row.cart_count,
      ratio(row.abandoned_cart_count, row.cart_count),
      ratio(row.recovered_cart_count, row.abandoned_cart_count),
      row.lost_revenue_amount,
    ]),
  };
};
