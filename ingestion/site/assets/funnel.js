// The figures of the page Funnel, by their ids.
"use strict";

const STEPS = [
  "session_count",
  "product_view_count",
  "add_to_cart_count",
  "checkout_start_count",
  "purchase_count",
];
const STEP_NAMES = ["Session", "Product view", "Add to cart", "Checkout", "Purchase"];

/** A funnel of names and counts, each with its share of the one before. */
function funnel(names, counts, heading, color) {
  if (!counts[0]) return null;
  const share = counts.map((count, i) => (i ? ratio(count, counts[i - 1]) : null));
  const texts = counts.map(
    (count, i) => shown(count, "number") + (i ? ` (${shown(share[i], "percent")})` : ""),
  );
  return {
    ...bars(names, counts, texts, color, {
      xaxis: { title: { text: heading }, rangemode: "tozero" },
    }),
    columns: [
      ["Step", "text"],
      [heading, "number"],
      ["Of the step before", "percent"],
      ["Of the first", "percent"],
      ["Lost before it", "number"],
    ],
    rows: names.map((name, i) => [
      name,
      counts[i],
      share[i],
      ratio(counts[i], counts[0]),
      i ? counts[i - 1] - counts[i] : null,
    ]),
  };
}

figures.funnel = (color) => {
  const rows = chosen(rowsOf("sessions"));
  return funnel(
    STEP_NAMES,
    STEPS.map((column) => total(rows, column)),
    "Sessions",
    color,
  );
};

figures.conversion = (color) => {
  const rows = chosen(rowsOf("sessions"));
  if (!rows.length) return null;
  const bar = period(rows, "session_date");
  const sums = summed(rows, bar.of, STEPS).sort(by("key"));
  const share = sums.map((row) => ratio(row.purchase_count, row.session_count));
  return {
    traces: [
      {
        type: "scatter",
        mode: "lines+markers",
        x: sums.map((row) => row.key),
        y: share,
        line: { color: color.one, width: 2.5 },
        text: share.map((value) => shown(value, "percent")),
        hovertemplate: "%{x}: %{text}<extra></extra>",
      },
    ],
    layout: { xaxis: { ...days(sums, "key", bar.isWeekly), title: { text: bar.title } }, yaxis: percentAxis },
    columns: [
      [bar.title, "text"],
      ["Sessions", "number"],
      ["Purchases", "number"],
      ["Conversion", "percent"],
    ],
    rows: sums.map((row, i) => [row.key, row.session_count, row.purchase_count, share[i]]),
  };
};

for (const [id, column] of [
  ["by-channel", "channel"],
  ["by-device", "device_type"],
]) {
  figures[id] = () => {
    const sums = summed(chosen(rowsOf("sessions")), column, STEPS).sort(by("session_count", -1));
    if (!sums.length) return null;
    return {
      columns: [
        [column === "channel" ? "Channel" : "Device", "text"],
        ["Sessions", "number"],
        ...STEP_NAMES.slice(1).map((name) => [name, "percent"]),
      ],
      rows: sums.map((row) => [
        row.key,
        row.session_count,
        ...STEPS.slice(1).map((c) => ratio(row[c], row.session_count)),
      ]),
    };
  };
}

figures.times = () => {
  const [row] = rowsOf("times");
  const times = [
    ["Product view to add to cart", row.add_to_cart_seconds],
    ["Add to cart to checkout", row.checkout_start_seconds],
    ["Checkout to purchase", row.purchase_seconds],
  ];
  if (times.every(([, seconds]) => seconds === null)) return null;
  return {
    columns: [
      ["From step to step", "text"],
      ["Median time", "seconds"],
    ],
    rows: times,
  };
};

figures.users = (color) => {
  const rows = rowsOf("users");
  const reached = [1, 2, 3, 4].map((number) =>
    total(
      rows.filter((row) => row.furthest_step_number >= number),
      "user_count",
    ),
  );
  return funnel(STEP_NAMES.slice(1), reached, "Users", color);
};

figures.checkout = (color) => {
  const rows = rowsOf("checkout");
  return rows.length
    ? funnel(
        rows.map((row) => step(row.step)),
        rows.map((row) => row.session_count),
        "Sessions",
        color,
      )
    : null;
};

figures.categories = () => {
  const rows = rowsOf("categories");
  if (!rows.length) return null;
  return {
    columns: [
      ["Category", "text"],
      ["Viewed", "number"],
      ["Add to cart", "percent"],
      ["Purchase", "percent"],
    ],
    rows: rows.map((row) => [
      row.category,
      row.product_view_count,
      ratio(row.add_to_cart_count, row.product_view_count),
      ratio(row.purchase_count, row.product_view_count),
    ]),
  };
};
