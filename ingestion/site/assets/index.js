// The figures of the page Overview, by their ids.
"use strict";

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
      chosen(rowsOf("anomalies"))
        .filter((row) => row.metric === metric)
        .map((row) => [row.metric_date, row]),
    );
    const x = rows.map((row) => row.metric_date);
    const line = (column, width, hue, label) => ({
      type: "scatter",
      mode: rows.length < 8 ? "lines+markers" : "lines",
      name: label,
      x,
      y: rows.map((row) => row[column]),
      line: { color: hue, width },
      text: rows.map((row) => metricText(metric, row[column])),
      hovertemplate: "%{text}",
      connectgaps: false,
    });
    const marked = [...odd.values()];
    const traces = [
      line("metric_value", 1.25, color.faint, name),
      line("seven_days_average_value", 3, color.one, "Mean of 7 days"),
      {
        type: "scatter",
        mode: "markers",
        name: "Out of the ordinary",
        x: marked.map((row) => row.metric_date),
        y: marked.map((row) => row.metric_value),
        hoverinfo: "text",
        cliponaxis: false,
        marker: {
          color: color.two,
          size: 11,
          symbol: "diamond",
          line: { color: color.card, width: 1 },
        },
        text: marked.map((row) => `expected ${expectedText(metric, row.expected_value)}`),
      },
    ];
    return {
      traces,
      layout: {
        hovermode: "x unified",
        showlegend: false,
        xaxis: days(rows, "metric_date"),
        yaxis: format === "percent" ? percentAxis : { rangemode: "tozero" },
      },
      columns: [
        ["Day", "text"],
        [name, format],
        ["Mean of 7 days", format === "number" ? "decimal" : format],
        ["Out of the ordinary", "text"],
      ],
      rows: rows.map((row) => [
        row.metric_date,
        row.metric_value,
        row.seven_days_average_value,
        odd.get(row.metric_date)?.direction ?? "",
      ]),
    };
  };
}

figures.anomalies = () => {
  const rows = chosen(rowsOf("anomalies"));
  if (!rows.length) return null;
  return {
    columns: [
      ["Day", "text"],
      ["Figure", "text"],
      ["Way", "text"],
      ["Was", "text"],
      ["Expected", "text"],
      ["Range", "text"],
    ],
    rows: rows.map((row) => [
      row.metric_date,
      metricName(row.metric),
      row.direction,
      metricText(row.metric, row.metric_value),
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
    return {
      x: row.hour_of_day,
      y: row.day_name,
      value: mean,
      text,
      hover: `${row.day_name}, ${row.hour_of_day}:00: ${text}`,
    };
  });
  return {
    ...heat(
      hours,
      names,
      cells,
      color,
      {
        xaxis: {
          title: { text: "Hour of the day" },
          dtick: isNarrow() ? 6 : 1,
          ...(isNarrow()
            ? { tickvals: [0, 6, 12, 18, 23], ticktext: ["0", "6", "12", "18", "23"] }
            : {}),
        },
      },
      !isNarrow(),
    ),
    columns: [
      ["Weekday", "text"],
      ["Hour", "number"],
      ["Sessions", "number"],
      ["Days", "number"],
    ],
    rows: rows.map((row) => [row.day_name, row.hour_of_day, row.session_count, row.day_count]),
  };
};

figures["hour-anomalies"] = () => {
  const rows = chosen(rowsOf("hour_anomalies"));
  if (!rows.length) return null;
  return {
    columns: [
      ["Day", "text"],
      ["Hour", "text"],
      ["Figure", "text"],
      ["Way", "text"],
      ["Was", "number"],
      ["Expected", "decimal"],
    ],
    rows: rows.map((row) => [
      row.metric_date,
      `${String(row.hour_of_day).padStart(2, "0")}:00`,
      metricName(row.metric),
      row.direction,
      row.metric_value,
      row.expected_value,
    ]),
  };
};
