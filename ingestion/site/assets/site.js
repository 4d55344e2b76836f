// What all pages share: the page's tables, filters, how figures and tables are drawn, the theme.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const words = JSON.parse(document.getElementById("words").textContent);
const figures = {}; // By the id in the page: a function that returns what to draw, or null.
const DAY_COLUMNS = ["metric_date", "session_date", "cart_date"];
const DAY = /^\d{4}-\d\d-\d\d$/;

// -- rows ----------------------------------------------------------------------------------------

/** The rows of one of the page's tables, as objects. */
function rowsOf(name) {
  const { columns, rows } = data[name];
  return rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])));
}

/** The rows with the sums of columns, one for each value of the key. */
function summed(rows, key, columns) {
  const groups = new Map();
  for (const row of rows) {
    const name = typeof key === "function" ? key(row) : row[key];
    if (!groups.has(name)) groups.set(name, Object.fromEntries(columns.map((c) => [c, 0])));
    const sums = groups.get(name);
    for (const column of columns) sums[column] += row[column] ?? 0;
  }
  return [...groups].map(([name, sums]) => ({ key: name, ...sums }));
}

const total = (rows, column) => rows.reduce((sum, row) => sum + (row[column] ?? 0), 0);
const ratio = (numerator, denominator) => (denominator ? numerator / denominator : null);
const by =
  (column, sign = 1) =>
  (a, b) =>
    sign * (a[column] < b[column] ? -1 : a[column] > b[column] ? 1 : 0);
const distinct = (rows, column) => [...new Set(rows.map((row) => row[column]))].sort();

// -- filters -------------------------------------------------------------------------------------

const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);
const option = (name) => one(`[data-option="${name}"]`).value;

/** The rows that the page's filters let through; a filter on a column they lack says nothing. */
function chosen(rows) {
  const tests = [];
  for (const filter of all("[data-filter]")) {
    const column = filter.dataset.filter;
    if (filter.value !== "") tests.push((row) => !(column in row) || row[column] === filter.value);
  }
  const [from, to] = [one("[data-from]")?.value, one("[data-to]")?.value];
  const day = (row) => row[DAY_COLUMNS.find((column) => column in row)];
  if (from) tests.push((row) => !(day(row) < from));
  if (to) tests.push((row) => !(day(row) > to));
  return rows.filter((row) => tests.every((test) => test(row)));
}

function fill(select, values, text = (value) => value) {
  for (const value of values) select.append(new Option(text(value), value));
}

function prepareFilters() {
  for (const select of all("[data-filter]")) {
    const column = select.dataset.filter;
    const values = distinct(rowsOf(select.dataset.of), column);
    fill(select, values, column === "month_start_date" ? month : (value) => value);
    select.closest("label").hidden = values.length < 2;
  }
  const [preset, from, to] = [one("[data-days]"), one("[data-from]"), one("[data-to]")];
  preset?.addEventListener("change", () => {
    from.value = preset.value && to.max ? shifted(to.max, 1 - Number(preset.value)) : from.min;
    if (from.value < from.min) from.value = from.min;
    to.value = to.max;
  });
  for (const input of [from, to])
    input?.addEventListener("change", () => {
      preset.value = "";
    });
  for (const form of all("form.filters")) {
    form.addEventListener("change", draw);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
}

// -- days ----------------------------------------------------------------------------------------

function shifted(day, count) {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + count);
  return date.toISOString().slice(0, 10);
}

const month = (day) => day.slice(0, 7);
const monday = (day) => shifted(day, -((new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7));

/** A function from a day to its own bar: itself, or its week where the days are many. */
function period(rows, column) {
  const days = new Set(rows.map((row) => row[column]));
  return days.size > 31
    ? { title: "Week from", isWeekly: true, of: (row) => monday(row[column]) }
    : { title: "Day", isWeekly: false, of: (row) => row[column] };
}

// -- texts ---------------------------------------------------------------------------------------

const grouped = (value, digits) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const formats = {
  number: (value) => grouped(value, 0),
  decimal: (value) => grouped(value, 1),
  amount: (value) => grouped(value, 2),
  percent: (value) => `${grouped(value * 100, Math.abs(value) < 0.1 ? 2 : 1)} %`,
  p: (value) => (value < 0.001 ? "< 0.001" : grouped(value, 3)),
  seconds: (value) =>
    value < 120
      ? `${grouped(value, 0)} s`
      : value < 7200
        ? `${grouped(value / 60, 0)} min`
        : `${grouped(value / 3600, 1)} h`,
  text: String,
};
const shown = (value, format) =>
  value === null || value === undefined ? "–" : formats[format](value);
const step = (name) => {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};
/** Plotly takes some tags in texts for markup: what the data says must stay what it is. */
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const short = (text, length = 34) =>
  plain(text.length > length ? `${text.slice(0, length - 1)}…` : text);

// -- drawing -------------------------------------------------------------------------------------

/** The theme's colours, as Plotly wants them. */
function colors() {
  const probe = document.body.appendChild(document.createElement("span"));
  const names = ["ink", "faint", "line", "card", "one", "two", "three", "four", "low", "high"];
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(found);
}

function layoutOf(own, color) {
  const axis = {
    gridcolor: color.line,
    linecolor: color.line,
    zerolinecolor: color.line,
    automargin: true,
    separatethousands: true,
  };
  const titled = (extra) => ({
    ...axis,
    ...extra,
    title: { standoff: 8, font: { size: 13 }, ...(extra?.title ?? {}) },
  });
  return {
    height: 300,
    margin: { l: 8, r: 12, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color.ink },
    hoverlabel: {
      bgcolor: color.card,
      bordercolor: color.line,
      font: { color: color.ink, size: 13 },
    },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    dragmode: false,
    ...own,
    xaxis: titled(own.xaxis),
    yaxis: titled(own.yaxis),
  };
}

/** Draw the page: tables at once; charts one by one, as soon as Plotly is there. */
function draw() {
  const color = colors();
  const waiting = [];
  for (const section of all("[data-figure]")) {
    const drawn = figures[section.dataset.figure](color);
    const chart = section.querySelector(".chart");
    const details = section.querySelector("details");
    const parts = [chart, details ?? section.querySelector(".scroll")];
    for (const part of parts) if (part) part.hidden = drawn === null;
    section.querySelector(".empty").hidden = drawn !== null;
    if (drawn === null) continue;
    const fillTable = () => drawTable(section.querySelector("table"), drawn.columns, drawn.rows);
    if (details) details.ontoggle = fillTable; // The numbers of a chart, once they are asked for.
    if (!details || details.open) fillTable();
    if (chart) waiting.push([chart, drawn.traces, layoutOf(drawn.layout ?? {}, color)]);
  }
  drawKpis();
  drawCharts(waiting);
}

let round = 0; // A later choice takes the place of charts still waiting.

async function drawCharts(waiting) {
  const own = (round += 1);
  if (waiting.length && !window.Plotly) {
    await new Promise((resolve) => one("#plotly").addEventListener("load", resolve));
  }
  for (const [chart, traces, layout] of waiting) {
    if (own !== round) return;
    Plotly.react(chart, traces, layout, { displayModeBar: false, responsive: true });
    await new Promise((resolve) => setTimeout(resolve)); // The browser shows it, and hears the reader.
  }
  document.documentElement.dataset.drawn = String(own);
}

/** The figures of `figures.kpis`, where the page has a place for them. */
function drawKpis() {
  const list = one("[data-kpis]");
  list?.replaceChildren(
    ...figures.kpis().map(([label, value, format]) => {
      const kpi = document.createElement("div");
      kpi.className = "kpi";
      kpi.append(element("dt", label), element("dd", shown(value, format), "value"));
      return kpi;
    }),
  );
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** Draw a table of `columns` ([heading, format]); a heading sorts by its column. */
function drawTable(table, columns, rows, sorted = null) {
  const head = element("tr", "");
  columns.forEach(([heading, format], i) => {
    const cell = element("th", "", format === "text" ? "" : "number");
    const button = cell.appendChild(element("button", heading));
    button.type = "button";
    cell.scope = "col";
    const isSorted = sorted?.column === i;
    if (isSorted) cell.ariaSort = sorted.sign > 0 ? "ascending" : "descending";
    button.addEventListener("click", () => {
      const sign = isSorted ? -sorted.sign : format === "text" ? 1 : -1;
      const ordered = [...rows].sort(
        (a, b) => (a[i] === null) - (b[i] === null) || by(i, sign)(a, b),
      );
      drawTable(table, columns, ordered, { column: i, sign });
      table.querySelectorAll("th button")[i].focus();
    });
    head.append(cell);
  });
  const body = document.createElement("tbody");
  for (const row of rows) {
    const line = body.appendChild(document.createElement("tr"));
    row.forEach((value, i) => {
      const format = columns[i][1];
      const kind = format !== "text" ? "number" : DAY.test(value) ? "day" : "";
      line.append(element("td", shown(value, format), kind));
    });
  }
  const top = document.createElement("thead");
  top.append(head);
  table.replaceChildren(top, body);
}

// -- the theme -----------------------------------------------------------------------------------

const isDark = () => {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function nameTheme() {
  one("#theme").textContent = isDark() ? "Light" : "Dark";
  one("#theme").ariaLabel = isDark() ? "Light colours" : "Dark colours";
}

function prepareTheme() {
  one("#theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("clickmart-theme", document.documentElement.dataset.theme);
    } catch (error) {
      // Not kept, then: the choice holds for this page.
    }
    nameTheme();
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    nameTheme();
    draw();
  });
  nameTheme();
}

// Deferred scripts run in their order; the figures are there when the document is.
document.addEventListener("DOMContentLoaded", () => {
  one("nav [aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
  prepareTheme();
  prepareFilters();
  figures.prepare?.();
  draw();
});
