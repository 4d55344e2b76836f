// One function for each figure of each page, by its id: what Plotly draws, and the numbers behind it.
"use strict";

const isNarrow = () => innerWidth < 760;
const scale = (color) => [[0, color.low], [1, color.high]];
const percentAxis = { tickformat: ".1~%", rangemode: "tozero" };
const days = (rows, column) => ({
  type: "date", range: padded(rows, column), ...(rows.length < 8 ? { dtick: 864e5, tickformat: "%b %-d\n%Y" } : {}),
});
/** From the first day to the last, with half a day of room: a single day would have no width. */
const padded = (rows, column) => {
  const all_ = rows.map((row) => row[column]);
  const [first, last] = [all_.reduce((a, b) => (a < b ? a : b)), all_.reduce((a, b) => (a > b ? a : b))];
  return [`${shifted(first, -1)}T12:00`, `${last}T12:00`];
};

/** Horizontal bars, the first at the top; equal labels stay bars of their own. */
function bars(labels, values, texts, color, more = {}) {
  const at = labels.map((_, i) => i);
  const traces = [{
    type: "bar", orientation: "h", y: at, x: values, text: texts, marker: { color: color.one },
    textposition: "auto", hovertext: labels.map((label, i) => `${plain(label)}: ${texts[i]}`),
    hoverinfo: "text", cliponaxis: false,
  }];
  const layout = {
    height: Math.max(220, 70 + 27 * labels.length),
    bargap: 0.25,
    yaxis: { autorange: "reversed", tickvals: at, ticktext: labels.map((l) => short(l, isNarrow() ? 18 : 34)), showgrid: false },
    ...more,
  };
  return { traces, layout };
}

/** A heat map of `cells` ({x, y, value, text}); the axes keep the order of `xs` and `ys`. */
function heat(xs, ys, cells, color, layout, isTexted = true) {
  const found = new Map(cells.map((cell) => [`${cell.x}\n${cell.y}`, cell]));
  const grid = (what) => ys.map((y) => xs.map((x) => found.get(`${x}\n${y}`)?.[what] ?? (what === "value" ? null : "")));
  const traces = [{
    type: "heatmap", x: xs.map((_, i) => i), y: ys.map((_, i) => i), z: grid("value"),
    customdata: grid("hover"), hovertemplate: "%{customdata}<extra></extra>", hoverongaps: false,
    text: grid("text"), texttemplate: isTexted ? "%{text}" : undefined, textfont: { size: isNarrow() ? 10 : 12, color: color.ink },
    colorscale: scale(color), showscale: false, xgap: 1, ygap: 1,
  }];
  const ticks = (names) => ({ tickvals: names.map((_, i) => i), ticktext: names.map((n) => short(String(n), 24)), showgrid: false, zeroline: false });
  return {
    traces,
    layout: {
      height: 90 + 30 * ys.length,
      ...layout,
      xaxis: { ...ticks(xs), ...layout.xaxis },
      yaxis: { ...ticks(ys), autorange: "reversed", ...layout.yaxis },
    },
  };
}

/** A Sankey diagram from names on the left to names on the right, both in the order of `names`. */
function flows(links, names, color, describe) {
  const lefts = names.filter((name) => links.some((link) => link.from === name));
  const rights = names.filter((name) => links.some((link) => link.to === name));
  const palette = [color.one, color.two, color.three, color.four, color.faint];
  const hue = (name) => palette[names.indexOf(name) % palette.length];
  const clear = (rgb) => rgb.replace("rgb(", "rgba(").replace(")", ", 0.35)");
  const nodes = [...lefts, ...rights];
  const height = 90 + 42 * Math.max(lefts.length, rights.length);
  return {
    traces: [{
      type: "sankey", arrangement: "fixed",
      node: {
        label: nodes.map((name) => plain(step(name))), color: nodes.map(hue), pad: SANKEY_PAD, thickness: 14,
        x: [...lefts.map(() => 0.001), ...rights.map(() => 0.999)],
        y: [...stackedUp(lefts, links, "from", height), ...stackedUp(rights, links, "to", height)],
        line: { width: 0 }, hovertemplate: "%{label}<extra></extra>",
      },
      link: {
        source: links.map((link) => lefts.indexOf(link.from)),
        target: links.map((link) => lefts.length + rights.indexOf(link.to)),
        value: links.map((link) => link.width ?? link.value),
        color: links.map((link) => clear(hue(link.from))),
        customdata: links.map((link) => plain(describe(link))),
        hovertemplate: "%{customdata}<extra></extra>",
      },
    }],
    layout: { height },
  };
}

const SANKEY_PAD = 18;

/** The middles of one side's nodes from top to bottom, as shares of the height, pads between. */
function stackedUp(names, links, side, height) {
  const sizes = names.map((name) => total(links.filter((link) => link[side] === name).map((link) => ({ size: link.width ?? link.value })), "size"));
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  const room = height - 16; // Without the margins.
  const scale_ = (room - SANKEY_PAD * Math.max(names.length - 1, 1)) / whole;
  let top = 0;
  return sizes.map((size) => {
    const middle = (top + (size * scale_) / 2) / room;
    top += size * scale_ + SANKEY_PAD;
    return Math.min(Math.max(middle, 0.001), 0.999);
  });
}

// -- overview ------------------------------------------------------------------------------------

const METRICS = {
  session_count: ["Sessions", "number"],
  visitor_count: ["Visitors", "number"],
  event_count: ["Events", "number"],
  order_count: ["Orders", "number"],
  gross_revenue_amount: ["Gross revenue", "amount"],
  conversion_rate: ["Conversion", "percent"],
  average_order_amount: ["Average order", "amount"],
};
const metricName = (metric) => METRICS[metric]?.[0] ?? step(metric);
const metricText = (metric, value) => shown(value, METRICS[metric]?.[1] ?? "decimal");
const expectedText = (metric, value) =>
  METRICS[metric]?.[1] === "number" ? shown(value, "decimal") : metricText(metric, value);

for (const [metric, [name, format]] of Object.entries(METRICS)) {
  figures[`trend-${metric}`] = (color) => {
    const rows = chosen(rowsOf("trends").filter((row) => row.metric === metric));
    if (!rows.some((row) => row.metric_value !== null)) return null;
    const odd = new Map(
      chosen(rowsOf("anomalies")).filter((row) => row.metric === metric).map((row) => [row.metric_date, row]),
    );
    const x = rows.map((row) => row.metric_date);
    const line = (column, width, hue, label) => ({
      type: "scatter", mode: rows.length < 8 ? "lines+markers" : "lines", name: label, x, y: rows.map((row) => row[column]),
      line: { color: hue, width }, text: rows.map((row) => metricText(metric, row[column])),
      hovertemplate: "%{text}", connectgaps: false,
    });
    const marked = [...odd.values()];
    const traces = [
      line("metric_value", 1.25, color.faint, name),
      line("seven_days_average_value", 3, color.one, "Mean of 7 days"),
      {
        type: "scatter", mode: "markers", name: "Out of the ordinary", x: marked.map((row) => row.metric_date),
        y: marked.map((row) => row.metric_value), hoverinfo: "text", cliponaxis: false,
        marker: { color: color.two, size: 11, symbol: "diamond", line: { color: color.card, width: 1 } },
        text: marked.map((row) => `expected ${expectedText(metric, row.expected_value)}`),
      },
    ];
    return {
      traces,
      layout: {
        hovermode: "x unified", showlegend: false, xaxis: days(rows, "metric_date"),
        yaxis: format === "percent" ? percentAxis : { rangemode: "tozero" },
      },
      columns: [["Day", "text"], [name, format], ["Mean of 7 days", format === "number" ? "decimal" : format], ["Out of the ordinary", "text"]],
      rows: rows.map((row) => [row.metric_date, row.metric_value, row.seven_days_average_value, odd.get(row.metric_date)?.direction ?? ""]),
    };
  };
}

figures.anomalies = () => {
  const rows = chosen(rowsOf("anomalies"));
  if (!rows.length) return null;
  return {
    columns: [["Day", "text"], ["Figure", "text"], ["Way", "text"], ["Was", "text"], ["Expected", "text"], ["Range", "text"]],
    rows: rows.map((row) => [
      row.metric_date, metricName(row.metric), row.direction, metricText(row.metric, row.metric_value),
      expectedText(row.metric, row.expected_value),
      `${expectedText(row.metric, row.expected_low_value)} to ${expectedText(row.metric, row.expected_high_value)}`,
    ]),
  };
};

figures.hours = (color) => {
  const rows = rowsOf("hours");
  if (!rows.length) return null;
  const names = [...new Set(rows.map((row) => row.day_name))];
  const hours = [...Array(24).keys()];
  const cells = rows.map((row) => {
    const mean = row.session_count / row.day_count;
    const text = shown(mean, "decimal");
    return { x: row.hour_of_day, y: row.day_name, value: mean, text, hover: `${row.day_name}, ${row.hour_of_day}:00: ${text}` };
  });
  return {
    ...heat(hours, names, cells, color, { xaxis: { title: { text: "Hour of the day" }, dtick: isNarrow() ? 6 : 1, ...(isNarrow() ? { tickvals: [0, 6, 12, 18, 23], ticktext: ["0", "6", "12", "18", "23"] } : {}) } }, !isNarrow()),
    columns: [["Weekday", "text"], ["Hour", "number"], ["Sessions", "number"], ["Days", "number"]],
    rows: rows.map((row) => [row.day_name, row.hour_of_day, row.session_count, row.day_count]),
  };
};

figures["hour-anomalies"] = () => {
  const rows = chosen(rowsOf("hour_anomalies"));
  if (!rows.length) return null;
  return {
    columns: [["Day", "text"], ["Hour", "text"], ["Figure", "text"], ["Way", "text"], ["Was", "number"], ["Expected", "decimal"]],
    rows: rows.map((row) => [
      row.metric_date, `${String(row.hour_of_day).padStart(2, "0")}:00`, metricName(row.metric), row.direction,
      row.metric_value, row.expected_value,
    ]),
  };
};

// -- funnel --------------------------------------------------------------------------------------

const STEPS = ["session_count", "product_view_count", "add_to_cart_count", "checkout_start_count", "purchase_count"];
const STEP_NAMES = ["Session", "Product view", "Add to cart", "Checkout", "Purchase"];

/** A funnel of names and counts, each with its share of the one before. */
function funnel(names, counts, heading, color) {
  if (!counts[0]) return null;
  const share = counts.map((count, i) => (i ? ratio(count, counts[i - 1]) : null));
  const texts = counts.map((count, i) => shown(count, "number") + (i ? ` (${shown(share[i], "percent")})` : ""));
  return {
    ...bars(names, counts, texts, color, { xaxis: { title: { text: heading }, rangemode: "tozero" } }),
    columns: [["Step", "text"], [heading, "number"], ["Of the step before", "percent"], ["Of the first", "percent"], ["Lost before it", "number"]],
    rows: names.map((name, i) => [name, counts[i], share[i], ratio(counts[i], counts[0]), i ? counts[i - 1] - counts[i] : null]),
  };
}

figures.funnel = (color) => {
  const rows = chosen(rowsOf("sessions"));
  return funnel(STEP_NAMES, STEPS.map((column) => total(rows, column)), "Sessions", color);
};

figures.conversion = (color) => {
  const rows = chosen(rowsOf("sessions"));
  if (!rows.length) return null;
  const bar = period(rows, "session_date");
  const sums = summed(rows, bar.of, STEPS).sort(by("key"));
  const share = sums.map((row) => ratio(row.purchase_count, row.session_count));
  return {
    traces: [{
      type: "scatter", mode: "lines+markers", x: sums.map((row) => row.key), y: share, line: { color: color.one, width: 2.5 },
      text: share.map((value) => shown(value, "percent")), hovertemplate: "%{x}: %{text}<extra></extra>",
    }],
    layout: { xaxis: { ...days(sums, "key"), title: { text: bar.title } }, yaxis: percentAxis },
    columns: [[bar.title, "text"], ["Sessions", "number"], ["Purchases", "number"], ["Conversion", "percent"]],
    rows: sums.map((row, i) => [row.key, row.session_count, row.purchase_count, share[i]]),
  };
};

for (const [id, column] of [["by-channel", "channel"], ["by-device", "device_type"]]) {
  figures[id] = () => {
    const sums = summed(chosen(rowsOf("sessions")), column, STEPS).sort(by("session_count", -1));
    if (!sums.length) return null;
    return {
      columns: [[column === "channel" ? "Channel" : "Device", "text"], ["Sessions", "number"], ...STEP_NAMES.slice(1).map((name) => [name, "percent"])],
      rows: sums.map((row) => [row.key, row.session_count, ...STEPS.slice(1).map((c) => ratio(row[c], row.session_count))]),
    };
  };
}

figures.times = () => {
  const [row] = rowsOf("times");
  const times = [["Product view to add to cart", row.add_to_cart_seconds], ["Add to cart to checkout", row.checkout_start_seconds], ["Checkout to purchase", row.purchase_seconds]];
  if (times.every(([, seconds]) => seconds === null)) return null;
  return { columns: [["From step to step", "text"], ["Median time", "seconds"]], rows: times };
};

figures.users = (color) => {
  const rows = rowsOf("users");
  const reached = [1, 2, 3, 4].map((number) => total(rows.filter((row) => row.furthest_step_number >= number), "user_count"));
  return funnel(STEP_NAMES.slice(1), reached, "Users", color);
};

figures.checkout = (color) => {
  const rows = rowsOf("checkout");
  return rows.length ? funnel(rows.map((row) => step(row.step)), rows.map((row) => row.session_count), "Sessions", color) : null;
};

figures.categories = () => {
  const rows = rowsOf("categories");
  if (!rows.length) return null;
  return {
    columns: [["Category", "text"], ["Viewed", "number"], ["Add to cart", "percent"], ["Purchase", "percent"]],
    rows: rows.map((row) => [row.category, row.product_view_count, ratio(row.add_to_cart_count, row.product_view_count), ratio(row.purchase_count, row.product_view_count)]),
  };
};

// -- journeys ------------------------------------------------------------------------------------

figures.journey = (color) => {
  const pairs = summed(chosen(rowsOf("transitions")), (row) => JSON.stringify([row.from_step, row.to_step]), ["transition_count", "total_step_seconds"]);
  const links = pairs.map(({ key, transition_count, total_step_seconds }) => {
    const [from, to] = JSON.parse(key);
    return { from, to, value: transition_count, seconds: ratio(total_step_seconds, transition_count) };
  }).sort(by("value", -1));
  if (!links.length) return null;
  const all_ = ["(start)", "page_view", "search", "product_list_view", "product_click", "product_view", "add_to_cart", "remove_from_cart", "checkout_start", "checkout_step", "purchase", "refund"];
  const known = new Set(links.flatMap((link) => [link.from, link.to]));
  const rest = [...known].filter((name) => !all_.includes(name) && name !== "(exit)").sort();
  const names = [...all_.filter((name) => known.has(name)), ...rest, "(exit)"];
  const after = new Map(summed(links, "from", ["value"]).map((row) => [row.key, row.value]));
  const share = (link) => ratio(link.value, after.get(link.from));
  if (option("width") === "share") for (const link of links) link.width = share(link);
  return {
    ...flows(links, names, color, (link) => `${step(link.from)} → ${step(link.to)}: ${shown(link.value, "number")}, ${shown(share(link), "percent")}`),
    columns: [["After", "text"], ["Comes", "text"], ["Times", "number"], ["Of all after it", "percent"], ["Mean time between", "seconds"]],
    rows: links.map((link) => [step(link.from), step(link.to), link.value, share(link), link.to === "(exit)" || link.from === "(start)" ? null : link.seconds]),
  };
};

figures.paths = () => {
  const rows = chosen(rowsOf("paths")).filter((row) => row.path_end === option("path_end"));
  const sessions = total(rows, "session_count");
  const named = summed(rows.filter((row) => row.path_count === 1), "journey_path", ["session_count"]).sort(by("session_count", -1));
  if (!named.length) return null;
  const path = (text) => text.split(" > ").map(step).join(" → ");
  return {
    columns: [["Path", "text"], ["Sessions", "number"], ["Share", "percent"]],
    rows: named.slice(0, 20).map((row) => [path(row.key), row.session_count, ratio(row.session_count, sessions)]),
  };
};

figures.pages = () => {
  const rows = rowsOf("pages");
  if (!rows.length) return null;
  return {
    columns: [["Page", "text"], ["Sessions", "number"], ["Start here", "number"], ["Leave at once", "percent"], ["End here", "percent"]],
    rows: rows.map((row) => [row.page_path ?? step(row.page_type ?? "(unknown)"), row.session_count, row.entry_session_count, ratio(row.bounce_session_count, row.entry_session_count), ratio(row.exit_session_count, row.session_count)]),
  };
};

// -- carts ---------------------------------------------------------------------------------------

const CART_SUMS = ["cart_count", "purchased_cart_count", "abandoned_cart_count", "recovered_cart_count", "lost_revenue_amount", "recovered_revenue_amount"];

figures.kpis = () => {
  const rows = chosen(rowsOf("carts"));
  const [carts, , abandoned, recovered, lost, back] = CART_SUMS.map((column) => total(rows, column));
  return [
    ["Carts", carts, "number"], ["Abandoned", ratio(abandoned, carts), "percent"],
    ["Of these recovered", ratio(recovered, abandoned), "percent"],
    [`Left in carts, ${words.currency}`, lost, "amount"], [`Came back, ${words.currency}`, back, "amount"],
  ];
};

/** Stacked bars over time: [name, value of a row, colour's name]. */
function stacked(rows, parts, title, color, axis) {
  const bar = period(rows, "cart_date");
  const sums = summed(rows, bar.of, CART_SUMS).sort(by("key"));
  const traces = parts.map(([name, value, hue]) => ({
    type: "bar", name, x: sums.map((row) => row.key), y: sums.map(value), marker: { color: color[hue] },
    hovertemplate: `%{y:,.0f} ${name.toLowerCase()}<extra></extra>`,
  }));
  return {
    traces,
    layout: { barmode: "stack", hovermode: "x unified", xaxis: { type: "date", title: { text: bar.title } }, yaxis: { ...axis } },
    columns: [[bar.title, "text"], ...parts.map(([name]) => [name, title])],
    rows: sums.map((row) => [row.key, ...parts.map(([, value]) => value(row))]),
  };
}

figures.outcomes = (color) => {
  const rows = chosen(rowsOf("carts"));
  return rows.length ? stacked(rows, [
    ["Purchased", (row) => row.purchased_cart_count, "one"],
    ["Abandoned, recovered", (row) => row.recovered_cart_count, "three"],
    ["Abandoned, lost", (row) => row.abandoned_cart_count - row.recovered_cart_count, "two"],
  ], "number", color) : null;
};

figures.lost = (color) => {
  const rows = chosen(rowsOf("carts"));
  return total(rows, "lost_revenue_amount") ? stacked(rows, [
    ["Came back", (row) => row.recovered_revenue_amount, "three"],
    ["Lost", (row) => row.lost_revenue_amount - row.recovered_revenue_amount, "two"],
  ], "amount", color) : null;
};

for (const [id, column, name] of [["carts-by-channel", "channel", "Channel"], ["carts-by-device", "device_type", "Device"]]) {
  figures[id] = () => {
    const sums = summed(chosen(rowsOf("carts")), column, CART_SUMS).sort(by("cart_count", -1));
    if (!sums.length) return null;
    return {
      columns: [[name, "text"], ["Carts", "number"], ["Abandoned", "percent"], ["Recovered", "percent"], ["Lost", "amount"]],
      rows: sums.map((row) => [row.key, row.cart_count, ratio(row.abandoned_cart_count, row.cart_count), ratio(row.recovered_cart_count, row.abandoned_cart_count), row.lost_revenue_amount - row.recovered_revenue_amount]),
    };
  };
}

figures["cart-products"] = () => {
  const rows = rowsOf("products").filter((row) => row.abandoned_cart_count);
  if (!rows.length) return null;
  return {
    columns: [["Product", "text"], ["Carts", "number"], ["Abandoned", "percent"], ["Recovered", "percent"], ["Left in carts", "amount"]],
    rows: rows.map((row) => [row.product_name, row.cart_count, ratio(row.abandoned_cart_count, row.cart_count), ratio(row.recovered_cart_count, row.abandoned_cart_count), row.lost_revenue_amount]),
  };
};

// -- products ------------------------------------------------------------------------------------

const PRODUCT_SUMS = ["view_count", "view_session_count", "cart_session_count", "view_to_cart_session_count", "cart_to_purchase_session_count", "order_count", "purchased_quantity", "gross_revenue_amount"];

function productsChosen() {
  const rows = chosen(rowsOf("products"));
  const known = new Map(rows.map((row) => [row.product_id, row]));
  return summed(rows, "product_id", PRODUCT_SUMS).map((row) => ({ ...row, name: known.get(row.key).product_name, category: known.get(row.key).category }));
}

figures["top-products"] = (color) => {
  const rows = productsChosen().filter((row) => row.gross_revenue_amount > 0).sort(by("gross_revenue_amount", -1)).slice(0, 20);
  if (!rows.length) return null;
  return {
    ...bars(rows.map((row) => row.name), rows.map((row) => row.gross_revenue_amount), rows.map((row) => shown(row.gross_revenue_amount, "number")), color, { xaxis: { title: { text: `Gross revenue, ${words.currency}` } } }),
    columns: [["Product", "text"], ["Gross revenue", "amount"], ["Orders", "number"]],
    rows: rows.map((row) => [row.name, row.gross_revenue_amount, row.order_count]),
  };
};

figures["product-categories"] = (color) => {
  const rows = summed(chosen(rowsOf("categories")), "category", ["view_count", "order_count", "gross_revenue_amount"])
    .filter((row) => row.gross_revenue_amount > 0).sort(by("gross_revenue_amount", -1)).slice(0, 15);
  if (!rows.length) return null;
  return {
    ...bars(rows.map((row) => row.key), rows.map((row) => row.gross_revenue_amount), rows.map((row) => shown(row.gross_revenue_amount, "number")), color, { xaxis: { title: { text: `Gross revenue, ${words.currency}` } } }),
    columns: [["Category", "text"], ["Gross revenue", "amount"], ["Views", "number"]],
    rows: rows.map((row) => [row.key, row.gross_revenue_amount, row.view_count]),
  };
};

figures.interest = (color) => {
  const rows = productsChosen().filter((row) => row.view_session_count > 0);
  if (!rows.length) return null;
  const share = (row) => row.view_to_cart_session_count / row.view_session_count;
  const most = Math.max(...rows.map((row) => row.order_count), 1);
  return {
    traces: [{
      type: "scatter", mode: "markers", x: rows.map((row) => row.view_session_count), y: rows.map(share),
      marker: { color: color.one, opacity: 0.6, size: rows.map((row) => 6 + 22 * Math.sqrt(row.order_count / most)), line: { color: color.card, width: 1 } },
      text: rows.map((row) => `${plain(row.name)}<br>${shown(row.view_session_count, "number")} sessions, ${shown(share(row), "percent")} to cart, ${shown(row.order_count, "number")} orders`),
      hoverinfo: "text",
    }],
    layout: { height: 380, xaxis: { type: "log", dtick: 1, title: { text: "Sessions that viewed it (logarithmic)" } }, yaxis: { ...percentAxis, title: { text: "Put in the cart" } } },
    columns: [["Product", "text"], ["Sessions with a view", "number"], ["Put in the cart", "percent"], ["Orders", "number"]],
    rows: rows.sort(by("view_session_count", -1)).map((row) => [row.name, row.view_session_count, share(row), row.order_count]),
  };
};

figures.products = () => {
  const rows = productsChosen().sort(by("gross_revenue_amount", -1));
  if (!rows.length) return null;
  return {
    columns: [["Product", "text"], ["Category", "text"], ["Views", "number"], ["View to cart", "percent"], ["Cart to purchase", "percent"], ["Orders", "number"], ["Gross revenue", "amount"]],
    rows: rows.map((row) => [row.name, row.category, row.view_count, ratio(row.view_to_cart_session_count, row.view_session_count), ratio(row.cart_to_purchase_session_count, row.cart_session_count), row.order_count, row.gross_revenue_amount]),
  };
};

figures.pairs = () => {
  const rows = rowsOf("pairs").filter((row) => row.basis === option("basis"));
  if (!rows.length) return null;
  return {
    columns: [["Product", "text"], ["With", "text"], ["Baskets with both", "number"], ["Of all baskets", "percent"], ["Lift", "amount"]],
    rows: rows.map((row) => [row.product_name, row.other_product_name, row.pair_basket_count, row.support_rate, row.lift]),
  };
};

// -- attribution ---------------------------------------------------------------------------------

const MODELS = ["first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay", "markov"];
const modelsOf = (rows) => {
  const found = distinct(rows, "attribution_model");
  return [...MODELS.filter((model) => found.includes(model)), ...found.filter((model) => !MODELS.includes(model))];
};
const CHANNEL_SUMS = ["session_count", "attributed_order_count", "attributed_revenue_amount", "cost_amount"];

figures.models = (color) => {
  const rows = chosen(rowsOf("channels"));
  if (!total(rows, "attributed_order_count")) return null;
  const models = modelsOf(rows);
  const ofAll = new Map(summed(rows, "attribution_model", CHANNEL_SUMS).map((row) => [row.key, row.attributed_revenue_amount]));
  const sums = summed(rows, (row) => JSON.stringify([row.channel, row.attribution_model]), CHANNEL_SUMS).map((row) => {
    const [channel, model] = JSON.parse(row.key);
    return { ...row, channel, model, share: ratio(row.attributed_revenue_amount, ofAll.get(model)) };
  });
  const channels = summed(sums, "channel", ["share"]).sort(by("share", -1)).map((row) => row.key);
  const cells = sums.map((row) => ({
    x: row.model, y: row.channel, value: row.share, text: row.share === null ? "" : `${(row.share * 100).toFixed(isNarrow() ? 0 : 1)} %`,
    hover: `${plain(row.channel)}, ${plain(step(row.model))}: ${shown(row.share, "percent")}, ${shown(row.attributed_revenue_amount, "amount")} ${words.currency}`,
  }));
  const drawn = heat(models, channels, cells, color, { xaxis: { side: "top", tickangle: isNarrow() ? -60 : 0 } });
  if (!isNarrow()) drawn.layout.xaxis.ticktext = models.map((model) => plain(step(model)).replace(" ", "<br>"));
  const shareOf = new Map(sums.map((row) => [row.key, row.share]));
  return {
    ...drawn,
    columns: [["Channel", "text"], ...models.map((model) => [step(model), "percent"])],
    rows: channels.map((channel) => [channel, ...models.map((model) => shareOf.get(JSON.stringify([channel, model])) ?? null)]),
  };
};

/** The channels by the chosen model; a return has only the revenue of rows with a known cost. */
function channelsChosen() {
  const model = one("[data-filter-model]").value;
  const rows = chosen(rowsOf("channels")).filter((row) => row.attribution_model === model)
    .map((row) => ({ ...row, paid_revenue: row.cost_amount === null ? 0 : row.attributed_revenue_amount, paid_orders: row.cost_amount === null ? 0 : row.attributed_order_count }));
  one("#example-cost").hidden = !rows.some((row) => row.has_example_cost);
  return summed(rows, "channel", [...CHANNEL_SUMS, "paid_revenue", "paid_orders"]).sort(by("attributed_revenue_amount", -1));
}

figures["channel-revenue"] = (color) => {
  const rows = channelsChosen().filter((row) => row.attributed_revenue_amount || row.cost_amount);
  if (!rows.length) return null;
  const at = rows.map((_, i) => i);
  const bar = (name, column, hue) => ({
    type: "bar", orientation: "h", name, y: at, x: rows.map((row) => row[column]), marker: { color: color[hue] },
    hovertemplate: `%{x:,.2f} ${name.toLowerCase()}<extra></extra>`,
  });
  return {
    traces: [bar("Attributed revenue", "attributed_revenue_amount", "one"), bar("Cost", "cost_amount", "two")],
    layout: { height: 110 + 42 * rows.length, barmode: "group", xaxis: { title: { text: words.currency } }, yaxis: { autorange: "reversed", tickvals: at, ticktext: rows.map((row) => short(row.key, 20)) } },
    columns: [["Channel", "text"], ["Attributed revenue", "amount"], ["Cost", "amount"]],
    rows: rows.map((row) => [row.key, row.attributed_revenue_amount, row.cost_amount || null]),
  };
};

figures["channel-table"] = () => {
  const rows = channelsChosen();
  if (!rows.length) return null;
  return {
    columns: [["Channel", "text"], ["Sessions", "number"], ["Orders", "decimal"], ["Revenue", "amount"], ["Per session", "amount"], ["Cost", "amount"], ["ROAS", "amount"], ["Cost per order", "amount"]],
    rows: rows.map((row) => [row.key, row.session_count, row.attributed_order_count, row.attributed_revenue_amount, ratio(row.attributed_revenue_amount, row.session_count), row.cost_amount || null, ratio(row.paid_revenue, row.cost_amount), ratio(row.cost_amount, row.paid_orders)]),
  };
};

// -- cohorts -------------------------------------------------------------------------------------

function cohortsChosen() {
  const [length, kind, measure] = [option("period_type"), option("cohort_type"), option("measure")];
  const rows = rowsOf("cohorts").filter((row) => row.period_type === length && row.cohort_type === kind);
  const isShare = measure === "retention_rate";
  return { length, measure, isShare, rows: rows.filter((row) => !isShare || row.period_number > 0) };
}

figures.cohorts = (color) => {
  const { length, measure, isShare, rows } = cohortsChosen();
  if (!rows.some((row) => row.period_number > 0)) return null;
  const users = new Map(rows.map((row) => [row.cohort_start_date, row.cohort_user_count]));
  const name = (day) => (length === "month" ? month(day) : day);
  const label = (day) => (isNarrow() ? name(day) : `${name(day)} (${shown(users.get(day), "number")} users)`);
  const periods = [...new Set(rows.map((row) => row.period_number))].sort((a, b) => a - b);
  const starts = distinct(rows, "cohort_start_date");
  const cells = rows.map((row) => {
    const text = shown(row[measure], isShare ? "percent" : "amount");
    return {
      x: row.period_number, y: label(row.cohort_start_date), value: row[measure], text: text.replace(" %", ""),
      hover: `${name(row.cohort_start_date)}, ${length} ${row.period_number}: ${text} (${shown(row.active_user_count, "number")} of ${shown(row.cohort_user_count, "number")} users active)`,
    };
  });
  const axis = { side: "top", title: { text: `${step(length)}s since the first${isShare ? " (cells in %)" : ` (cells in ${words.currency})`}` } };
  if (isNarrow()) Object.assign(axis, { tickvals: periods.map((_, i) => i).filter((i) => i % 4 === 0), ticktext: periods.filter((_, i) => i % 4 === 0) });
  return {
    ...heat(periods, starts.map(label), cells, color, { height: 110 + 28 * starts.length, xaxis: axis }, !isNarrow() || periods.length < 6),
    columns: [["Cohort", "text"], ["Users", "number"], [step(length), "number"], ["Active", "number"], ["Active again", "percent"], ["Revenue per user so far", "amount"]],
    rows: rows.map((row) => [name(row.cohort_start_date), row.cohort_user_count, row.period_number, row.active_user_count, row.retention_rate, row.cumulative_revenue_per_user_amount]),
  };
};

figures.curve = (color) => {
  const { length, isShare, rows } = cohortsChosen();
  if (!rows.some((row) => row.period_number > 0)) return null;
  const valued = rows.map((row) => ({ ...row, revenue: row.cumulative_revenue_per_user_amount * row.cohort_user_count }));
  const sums = summed(valued, "period_number", ["cohort_user_count", "active_user_count", "revenue"]).sort(by("key"));
  const values = sums.map((row) => ratio(isShare ? row.active_user_count : row.revenue, row.cohort_user_count));
  return {
    traces: [{
      type: "scatter", mode: "lines+markers", x: sums.map((row) => row.key), y: values, line: { color: color.one, width: 2.5 },
      text: values.map((value) => shown(value, isShare ? "percent" : "amount")), hovertemplate: `${step(length)} %{x}: %{text}<extra></extra>`,
    }],
    layout: { xaxis: { title: { text: `${step(length)}s since the first` }, dtick: sums.length < 15 ? 1 : undefined }, yaxis: isShare ? { ...percentAxis, title: { text: "Active again" } } : { rangemode: "tozero", title: { text: `${words.currency} per user` } } },
    columns: [[step(length), "number"], ["Users", "number"], ["Active", "number"], [isShare ? "Active again" : "Revenue per user", isShare ? "percent" : "amount"]],
    rows: sums.map((row, i) => [row.key, row.cohort_user_count, row.active_user_count, values[i]]),
  };
};

// -- segments ------------------------------------------------------------------------------------

function segmentBars(column, format, title) {
  return (color) => {
    const rows = rowsOf("segments");
    if (!total(rows, "user_count")) return null;
    const all_ = total(rows, column);
    const share = (row) => ratio(row[column], all_);
    return {
      ...bars(rows.map((row) => row.segment), rows.map((row) => row[column]), rows.map((row) => `${shown(row[column], "number")} (${shown(share(row), "percent")})`), color, { xaxis: { title: { text: title }, nticks: 5 } }),
      columns: [["Segment", "text"], [title, format], ["Share", "percent"]],
      rows: rows.map((row) => [row.segment, row[column], share(row)]),
    };
  };
}

figures["segment-users"] = segmentBars("user_count", "number", "Users");
figures["segment-revenue"] = segmentBars("net_revenue_amount", "amount", `Net revenue, ${words.currency}`);

figures.segments = () => {
  const rows = rowsOf("segments");
  if (!total(rows, "user_count")) return null;
  return {
    columns: [["Segment", "text"], ["Users", "number"], ["Identified", "number"], ["Buyers", "number"], ["Repeat buyers", "number"], ["Sessions", "number"], ["Orders", "number"], ["Net revenue", "amount"], ["Per user", "amount"], ["Days since last seen", "decimal"]],
    rows: rows.map((row) => [row.segment, row.user_count, row.identified_user_count, row.buyer_count, row.repeat_buyer_count, row.session_count, row.order_count, row.net_revenue_amount, ratio(row.net_revenue_amount, row.user_count), row.average_days_since_last_seen]),
  };
};

figures.scores = (color) => {
  const rows = rowsOf("scores");
  if (!rows.length) return null;
  const cells = rows.map((row) => ({
    x: row.frequency_score, y: row.recency_score, value: row.user_count, text: shown(row.user_count, "number"),
    hover: `Recency ${row.recency_score}, frequency ${row.frequency_score}: ${shown(row.user_count, "number")} users, ${shown(row.net_revenue_amount, "amount")} ${words.currency}`,
  }));
  return {
    ...heat([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], cells, color, { height: 320, xaxis: { title: { text: "Frequency: how many days with an order" } }, yaxis: { title: { text: "Recency: how lately" } } }),
    columns: [["Recency", "number"], ["Frequency", "number"], ["Users", "number"], ["Net revenue", "amount"]],
    rows: rows.map((row) => [row.recency_score, row.frequency_score, row.user_count, row.net_revenue_amount]),
  };
};

figures.movements = (color) => {
  const rows = rowsOf("movements").filter((row) => row.month_start_date === one("[data-filter-movement]").value);
  if (!rows.length) return null;
  const order = rowsOf("segments").map((row) => row.segment);
  const names = [...order, ...distinct(rows, "from_segment").filter((name) => !order.includes(name))];
  const links = rows.map((row) => ({ from: row.from_segment, to: row.to_segment, value: row.user_count }));
  return {
    ...flows(links, names, color, (link) => `${link.from} → ${link.to}: ${shown(link.value, "number")} users`),
    columns: [["Before", "text"], ["After", "text"], ["Users", "number"]],
    rows: links.map((link) => [link.from, link.to, link.value]),
  };
};

// -- experiments ---------------------------------------------------------------------------------

figures.uplift = (color) => {
  const rows = rowsOf("results").filter((row) => !row.is_control);
  const kinds = [["Conversion", "conversion", "one", -0.12], ["Revenue per visitor", "revenue", "two", 0.12]];
  const points = rows.flatMap((row, i) => kinds.map(([name, kind, hue, shift]) => ({
    name, hue, at: i + shift, label: `${row.experiment_id}: ${row.variant_id}`, value: row[`${kind}_uplift_rate`],
    low: row[`${kind}_uplift_low_rate`], high: row[`${kind}_uplift_high_rate`],
  }))).filter((point) => point.value !== null);
  if (!points.length) return null;
  const described = (point) => `${shown(point.value, "percent")} (${shown(point.low, "percent")} to ${shown(point.high, "percent")})`;
  const traces = kinds.map(([name, , hue]) => {
    const own = points.filter((point) => point.name === name);
    const arm = (edge) => own.map((point) => (point[edge] === null ? 0 : Math.abs(point[edge] - point.value)));
    return {
      type: "scatter", mode: "markers", name, x: own.map((point) => point.value), y: own.map((point) => point.at),
      error_x: { type: "data", symmetric: false, array: arm("high"), arrayminus: arm("low"), color: color[hue], thickness: 2.5, width: 6 },
      marker: { color: color[hue], size: 12, symbol: hue === "one" ? "circle" : "square" },
      text: own.map((point) => `${plain(point.label)}, ${name.toLowerCase()}: ${described(point)}`), hoverinfo: "text",
    };
  });
  return {
    traces,
    layout: {
      height: 140 + 70 * rows.length, xaxis: { tickformat: "+.0%", title: { text: "Uplift" }, zeroline: true, zerolinewidth: 2, zerolinecolor: color.faint },
      yaxis: { autorange: false, range: [rows.length - 0.5, -0.5], tickvals: rows.map((_, i) => i), ticktext: rows.map((row) => short(`${row.experiment_id}: ${row.variant_id}`, 26)), showgrid: false, zeroline: false },
    },
    columns: [["Experiment: variant", "text"], ["Of", "text"], ["Uplift", "percent"], ["From", "percent"], ["To", "percent"]],
    rows: points.map((point) => [point.label, point.name, point.value, point.low, point.high]),
  };
};

figures.variants = () => {
  const rows = rowsOf("results");
  if (!rows.length) return null;
  return {
    columns: [["Experiment", "text"], ["Variant", "text"], ["Visitors", "number"], ["Ordered", "number"], ["Conversion", "percent"], ["p", "p"], ["Revenue per visitor", "amount"], ["p of revenue", "p"], ["Saw several", "number"], ["Split p", "p"]],
    rows: rows.map((row) => [row.experiment_id, row.variant_id + (row.is_control ? " (control)" : ""), row.visitor_count, row.converted_visitor_count, row.visitor_conversion_rate, row.conversion_p_value, row.revenue_per_visitor_amount, row.revenue_p_value, row.switched_visitor_count, row.sample_ratio_p_value]),
  };
};

// -- quality -------------------------------------------------------------------------------------

figures.reasons = (color) => {
  const rows = rowsOf("reasons");
  if (!rows.length) return null;
  return {
    ...bars(rows.map((row) => step(row.reason)), rows.map((row) => row.quarantined_count), rows.map((row) => shown(row.quarantined_count, "number")), color, { xaxis: { title: { text: "Rows" } } }),
    columns: [["Reason", "text"], ["Rows", "number"], ["Still waiting", "number"]],
    rows: rows.map((row) => [row.reason, row.quarantined_count, row.waiting_count]),
  };
};

figures.loads = () => {
  const rows = rowsOf("loads");
  if (!rows.length) return null;
  return {
    columns: [["Load", "number"], ["Source", "text"], ["Committed (UTC)", "text"], ["Read", "number"], ["Loaded", "number"], ["Duplicate", "number"], ["Quarantined", "number"], ["Waiting", "number"], ["Took", "seconds"]],
    rows: rows.map((row) => [row.load_id, row.source, row.committed_at.slice(0, 16).replace("T", " "), row.read_count, row.loaded_count, row.duplicate_count, row.quarantined_count, row.waiting_count, row.load_seconds]),
  };
};

for (const [id, part, whole] of [["late", "late_event_count", "received_event_count"], ["bots", "bot_event_count", "event_count"], ["unknown", "unknown_user_event_count", "event_count"]]) {
  figures[id] = (color) => {
    const rows = chosen(rowsOf("days"));
    if (!total(rows, whole)) return null;
    const share = rows.map((row) => ratio(row[part], row[whole]));
    return {
      traces: [{
        type: "scatter", mode: rows.length < 8 ? "lines+markers" : "lines", x: rows.map((row) => row.metric_date), y: share, line: { color: color.one, width: 2 },
        text: share.map((value) => shown(value, "percent")), hovertemplate: "%{x}: %{text}<extra></extra>",
      }],
      layout: { xaxis: days(rows, "metric_date"), yaxis: percentAxis },
      columns: [["Day", "text"], ["Events", "number"], ["Of these", "number"], ["Share", "percent"]],
      rows: rows.map((row, i) => [row.metric_date, row[whole], row[part], share[i]]),
    };
  };
}

figures.missing = () => {
  const rows = chosen(rowsOf("days"));
  if (!rows.length) return null;
  const kinds = [["Events on a page without its URL", "missing_page_event_count"], ["Product events without a product", "missing_product_event_count"], ["Purchases without an order id", "missing_order_id_event_count"], ["Order lines without a price", "missing_price_line_count"]];
  return { columns: [["What", "text"], ["How many", "number"]], rows: kinds.map(([name, column]) => [name, total(rows, column)]) };
};

figures.volumes = () => {
  const rows = chosen(rowsOf("volumes"));
  if (!rows.length) return null;
  return {
    columns: [["Day", "text"], ["Event", "text"], ["Came", "number"], ["Usual", "decimal"]],
    rows: rows.map((row) => [row.metric_date, step(row.event_type), row.event_count, row.usual_event_count]),
  };
};

figures.disagreement = () => {
  const [row] = rowsOf("disagreement");
  if (!row.source_session_count) return null;
  const of = (column) => [row[column], ratio(row[column], row.source_session_count)];
  return {
    columns: [["Sessions", "text"], ["How many", "number"], ["Of the source's", "percent"]],
    rows: [["By gaps", row.derived_session_count, null], ["By the source", ...of("source_session_count")], ["Agreeing", ...of("agreeing_session_count")], ["Split by a gap", ...of("split_session_count")], ["Merged with another", ...of("merged_session_count")]],
  };
};

figures.runaways = () => {
  const rows = rowsOf("runaways");
  if (!rows.length) return null;
  return {
    columns: [["Day", "text"], ["Lasted", "seconds"], ["Events", "number"], ["Bot", "text"]],
    rows: rows.map((row) => [row.session_date, row.duration_seconds, row.event_count, row.is_bot ? "yes" : "no"]),
  };
};

// -- lineage -------------------------------------------------------------------------------------

const LAYERS = ["raw", "ops", "seeds", "staging", "intermediate", "marts", "snapshots", "reports"];

function prepareLineage() {
  const tables = data.tables;
  const [tableSelect, columnSelect] = [one("#table"), one("#column")];
  const goesTo = new Map();
  for (const [table, { columns }] of Object.entries(tables)) {
    for (const [column, { from }] of Object.entries(columns)) {
      for (const origin of from) {
        const key = origin.join(" ");
        goesTo.set(key, [...(goesTo.get(key) ?? []), [table, column]]);
      }
    }
  }
  const before = ([table, column]) => tables[table]?.columns[column]?.from ?? [];
  const after = (node) => goesTo.get(node.join(" ")) ?? [];

  function reached(start, next) {
    const found = new Map();
    const waiting = [start];
    while (waiting.length) {
      for (const node of next(waiting.pop())) {
        if (!found.has(node.join(" "))) waiting.push(found.set(node.join(" "), node) && node);
      }
    }
    return [...found.values()];
  }

  function show(table, column) {
    tableSelect.value = table;
    const columns = Object.keys(tables[table].columns);
    columnSelect.replaceChildren();
    fill(columnSelect, columns);
    columnSelect.value = columns.includes(column) ? column : columns[0];
    const chosen_ = [table, columnSelect.value];
    const origins = reached(chosen_, before);
    const about = tables[table].columns[columnSelect.value].description || tables[table].description;
    const none = tables[table].is_traced ? "It comes from no column: it counts rows, or is said by the model itself. " : "The SQL of this model could not be read, so its columns are not traced. ";
    const isSource = ["raw", "ops", "seeds"].includes(table.split(".")[0]);
    one("#column-description").textContent = (origins.length || isSource ? "" : none) + about;
    one("#trace").replaceChildren(...layers([...origins.map((node) => [node, "comes"]), [chosen_, "is"], ...reached(chosen_, after).map((node) => [node, "goes"])]));
    history.replaceState(null, "", `#${encodeURIComponent(chosen_.join(" "))}`);
  }

  function layers(nodes) {
    return LAYERS.filter((layer) => nodes.some(([[table]]) => table.startsWith(`${layer}.`))).map((layer) => {
      const section = element("section", "");
      section.append(element("h2", step(layer)));
      const own = nodes.filter(([[table]]) => table.startsWith(`${layer}.`));
      for (const table of distinct(own.map(([[name]]) => ({ name })), "name")) {
        section.append(element("h3", table.split(".")[1]));
        const list = section.appendChild(element("ul", ""));
        for (const [[, column], kind] of own.filter(([[name]]) => name === table).sort((a, b) => (a[0][1] < b[0][1] ? -1 : 1))) {
          const button = element("button", column, kind);
          button.type = "button";
          if (kind === "is") button.ariaCurrent = "true";
          button.addEventListener("click", () => show(table, column));
          list.appendChild(element("li", "")).append(button);
        }
      }
      return section;
    });
  }

  const names = Object.keys(tables);
  for (const layer of [...LAYERS].reverse()) {
    const group = document.createElement("optgroup");
    group.label = step(layer);
    fill(group, names.filter((name) => name.startsWith(`${layer}.`)), (name) => name.split(".")[1]);
    if (group.children.length) tableSelect.append(group);
  }
  tableSelect.addEventListener("change", () => show(tableSelect.value, null));
  columnSelect.addEventListener("change", () => show(tableSelect.value, columnSelect.value));
  const [table, column] = decodeURIComponent(location.hash.slice(1)).split(" ");
  show(...(table in tables ? [table, column] : [tableSelect.value, null]));
}

// -- choices that are no filter on a column of the same name --------------------------------------

figures.prepare = () => {
  const model = one("[data-filter-model]");
  if (model) {
    fill(model, modelsOf(rowsOf("channels")), step);
    if ([...model.options].some((choice) => choice.value === "last_non_direct")) model.value = "last_non_direct";
  }
  const movement = one("[data-filter-movement]");
  if (movement) {
    fill(movement, distinct(rowsOf("movements"), "month_start_date").reverse(), month);
    movement.closest("form").hidden = movement.options.length < 2;
  }
  const basis = one('[data-option="basis"]');
  if (basis && !rowsOf("pairs").some((row) => row.basis === basis.value)) basis.value = "view";
  if (one("#trace")) prepareLineage();
};
