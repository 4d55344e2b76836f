// The figures of the page Attribution, by their ids.
"use strict";

const MODELS = [
  "first_touch",
  "last_touch",
  "last_non_direct",
  "linear",
  "position_based",
  "time_decay",
  "markov",
];
const modelsOf = (rows) => {
  const found = distinct(rows, "attribution_model");
  return [
    ...MODELS.filter((model) => found.includes(model)),
    ...found.filter((model) => !MODELS.includes(model)),
  ];
};
const CHANNEL_SUMS = [
  "session_count",
  "attributed_order_count",
  "attributed_revenue_amount",
  "cost_amount",
];

figures.models = (color) => {
  const rows = chosen(rowsOf("channels"));
  if (!total(rows, "attributed_order_count")) return null;
  const models = modelsOf(rows);
  const ofAll = new Map(
    summed(rows, "attribution_model", CHANNEL_SUMS).map((row) => [
      row.key,
      row.attributed_revenue_amount,
    ]),
  );
  const sums = summed(
    rows,
    (row) => JSON.stringify([row.channel, row.attribution_model]),
    CHANNEL_SUMS,
  ).map((row) => {
    const [channel, model] = JSON.parse(row.key);
    return {
      ...row,
      channel,
      model,
      share: ratio(row.attributed_revenue_amount, ofAll.get(model)),
    };
  });
  const channels = summed(sums, "channel", ["share"])
    .sort(by("share", -1))
    .map((row) => row.key);
  const cells = sums.map((row) => ({
    x: row.model,
    y: row.channel,
    value: row.share,
    text: row.share === null ? "" : `${(row.share * 100).toFixed(isNarrow() ? 0 : 1)} %`,
    hover: `${plain(row.channel)}, ${plain(step(row.model))}: ${shown(row.share, "percent")}, ${shown(row.attributed_revenue_amount, "amount")} ${words.currency}`,
  }));
  const drawn = heat(models, channels, cells, color, {
    xaxis: { side: "top", tickangle: isNarrow() ? -60 : 0 },
  });
  const lineBreak = isNarrow() ? " " : "<br>";
  drawn.layout.xaxis.ticktext = models.map((model) => plain(step(model)).replace(" ", lineBreak));
  const shareOf = new Map(sums.map((row) => [row.key, row.share]));
  return {
    ...drawn,
    columns: [["Channel", "text"], ...models.map((model) => [step(model), "percent"])],
    rows: channels.map((channel) => [
      channel,
      ...models.map((model) => shareOf.get(JSON.stringify([channel, model])) ?? null),
    ]),
  };
};

/** The channels by the chosen model; a return has only the revenue of rows with a known cost. */
function channelsChosen() {
  const model = one("[data-filter-model]").value;
  const rows = chosen(rowsOf("channels"))
    .filter((row) => row.attribution_model === model)
    .map((row) => ({
      ...row,
      paid_revenue: row.cost_amount === null ? 0 : row.attributed_revenue_amount,
      paid_orders: row.cost_amount === null ? 0 : row.attributed_order_count,
    }));
  one("#example-cost").hidden = !rows.some((row) => row.has_example_cost);
  return summed(rows, "channel", [...CHANNEL_SUMS, "paid_revenue", "paid_orders"]).sort(
    by("attributed_revenue_amount", -1),
  );
}

figures["channel-revenue"] = (color) => {
  const rows = channelsChosen().filter((row) => row.attributed_revenue_amount || row.cost_amount);
  if (!rows.length) return null;
  const at = rows.map((_, i) => i);
  const bar = (name, column, hue) => ({
    type: "bar",
    orientation: "h",
    name,
    y: at,
    x: rows.map((row) => row[column]),
    marker: { color: color[hue] },
    hovertemplate: `%{x:,.2f} ${name.toLowerCase()}<extra></extra>`,
  });
  return {
    traces: [
      bar("Attributed revenue", "attributed_revenue_amount", "one"),
      bar("Cost", "cost_amount", "two"),
    ],
    layout: {
      height: 110 + 42 * rows.length,
      barmode: "group",
      xaxis: { title: { text: words.currency } },
      yaxis: {
        autorange: "reversed",
        tickvals: at,
        ticktext: rows.map((row) => short(row.key, 20)),
      },
    },
    columns: [
      ["Channel", "text"],
      ["Attributed revenue", "amount"],
      ["Cost", "amount"],
    ],
    rows: rows.map((row) => [row.key, row.attributed_revenue_amount, row.cost_amount || null]),
  };
};

figures["channel-table"] = () => {
  const rows = channelsChosen();
  if (!rows.length) return null;
  return {
    columns: [
      ["Channel", "text"],
      ["Sessions", "number"],
      ["Orders", "decimal"],
      ["Revenue", "amount"],
      ["Per session", "amount"],
      ["Cost", "amount"],
      ["ROAS", "amount"],
      ["Cost per order", "amount"],
    ],
    rows: rows.map((row) => [
      row.key,
      row.session_count,
      row.attributed_order_count,
      row.attributed_revenue_amount,
      ratio(row.attributed_revenue_amount, row.session_count),
      row.cost_amount || null,
      ratio(row.paid_revenue, row.cost_amount),
      ratio(row.cost_amount, row.paid_orders),
    ]),
  };
};

figures.prepare = () => {
  const model = one("[data-filter-model]");
  const models = modelsOf(rowsOf("channels"));
  fill(model, models, step);
  if (models.includes("last_non_direct")) model.value = "last_non_direct";
};
