// The kinds of charts that several pages draw.
"use strict";

const isNarrow = () => innerWidth < 760;
const scale = (color) => [
  [0, color.low],
  [1, color.high],
];
const percentAxis = { tickformat: ".1~%", rangemode: "tozero" };
/** A few days are each named; weeks are named by the Mondays that they start on. */
const dates = (rows, column, isWeekly) => {
  const sparse = Math.ceil(rows.length / (isNarrow() ? 3 : 6));
  if (isWeekly)
    return {
      type: "date",
      tick0: rows[0][column],
      dtick: 7 * 864e5 * sparse,
      tickformat: "%b %-d\n%Y",
    };
  return { type: "date", ...(rows.length < 8 ? { dtick: 864e5, tickformat: "%b %-d\n%Y" } : {}) };
};
const days = (rows, column, isWeekly = false) => ({
  ...dates(rows, column, isWeekly),
  range: padded(rows, column),
});
/** From the first day to the last, with half a day of room: a single day would have no width. */
const padded = (rows, column) => {
  const all_ = rows.map((row) => row[column]);
  const [first, last] = [
    all_.reduce((a, b) => (a < b ? a : b)),
    all_.reduce((a, b) => (a > b ? a : b)),
  ];
  return [`${shifted(first, -1)}T12:00`, `${last}T12:00`];
};

/** Horizontal bars, the first at the top; equal labels stay bars of their own. */
function bars(labels, values, texts, color, more = {}) {
  const at = labels.map((_, i) => i);
  const traces = [
    {
      type: "bar",
      orientation: "h",
      y: at,
      x: values,
      text: texts,
      marker: { color: color.one },
      textposition: "auto",
      insidetextfont: { color: color.card },
      hovertext: labels.map((label, i) => `${plain(label)}: ${texts[i]}`),
      hoverinfo: "text",
      cliponaxis: false,
    },
  ];
  const layout = {
    height: Math.max(220, 70 + 27 * labels.length),
    bargap: 0.25,
    yaxis: {
      autorange: "reversed",
      tickvals: at,
      ticktext: labels.map((l) => short(l, isNarrow() ? 18 : 34)),
      showgrid: false,
    },
    ...more,
  };
  return { traces, layout };
}

/** A heat map of `cells` ({x, y, value, text}); the axes keep the order of `xs` and `ys`. */
function heat(xs, ys, cells, color, layout, isTexted = true) {
  const found = new Map(cells.map((cell) => [`${cell.x}\n${cell.y}`, cell]));
  const grid = (what) =>
    ys.map((y) => xs.map((x) => found.get(`${x}\n${y}`)?.[what] ?? (what === "value" ? null : "")));
  const traces = [
    {
      type: "heatmap",
      x: xs.map((_, i) => i),
      y: ys.map((_, i) => i),
      z: grid("value"),
      customdata: grid("hover"),
      hovertemplate: "%{customdata}<extra></extra>",
      hoverongaps: false,
      text: grid("text"),
      texttemplate: isTexted ? "%{text}" : undefined,
      textfont: { size: isNarrow() ? 10 : 12, color: color.ink },
      colorscale: scale(color),
      showscale: false,
      xgap: 1,
      ygap: 1,
    },
  ];
  const ticks = (names) => ({
    tickvals: names.map((_, i) => i),
    ticktext: names.map((n) => short(String(n), 24)),
    showgrid: false,
    zeroline: false,
  });
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
    traces: [
      {
        type: "sankey",
        arrangement: "fixed",
        node: {
          label: nodes.map((name) => plain(step(name))),
          color: nodes.map(hue),
          pad: SANKEY_PAD,
          thickness: 14,
          x: [...lefts.map(() => 0.001), ...rights.map(() => 0.999)],
          y: [
            ...stackedUp(lefts, links, "from", height),
            ...stackedUp(rights, links, "to", height),
          ],
          line: { width: 0 },
          hovertemplate: "%{label}<extra></extra>",
        },
        link: {
          source: links.map((link) => lefts.indexOf(link.from)),
          target: links.map((link) => lefts.length + rights.indexOf(link.to)),
          value: links.map((link) => link.width ?? link.value),
          color: links.map((link) => clear(hue(link.from))),
          customdata: links.map((link) => plain(describe(link))),
          hovertemplate: "%{customdata}<extra></extra>",
        },
      },
    ],
    layout: { height },
  };
}

const SANKEY_PAD = 18;

/** The middles of one side's nodes from top to bottom, as shares of the height, pads between. */
function stackedUp(names, links, side, height) {
  const sizes = names.map((name) =>
    total(
      links
        .filter((link) => link[side] === name)
        .map((link) => ({ size: link.width ?? link.value })),
      "size",
    ),
  );
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
