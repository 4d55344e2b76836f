// The figures of the page Cohorts, by their ids.
"use strict";

function cohortsChosen() {
  const [length, kind, measure] = [option("period_type"), option("cohort_type"), option("measure")];
  const rows = rowsOf("cohorts").filter(
    (row) => row.period_type === length && row.cohort_type === kind,
  );
  const isShare = measure === "retention_rate";
  return {
    length,
    measure,
    isShare,
    rows: rows.filter((row) => !isShare || row.period_number > 0),
  };
}

figures.cohorts = (color) => {
  const { length, measure, isShare, rows } = cohortsChosen();
  if (!rows.some((row) => row.period_number > 0)) return null;
  const users = new Map(rows.map((row) => [row.cohort_start_date, row.cohort_user_count]));
  const name = (day) => (length === "month" ? month(day) : day);
  const label = (day) =>
    isNarrow() ? name(day) : `${name(day)} (${shown(users.get(day), "number")} users)`;
  const periods = [...new Set(rows.map((row) => row.period_number))].sort((a, b) => a - b);
  const starts = distinct(rows, "cohort_start_date");
  const cells = rows.map((row) => {
    const text = shown(row[measure], isShare ? "percent" : "amount") + (row.is_over ? "" : "…");
    return {
      x: row.period_number,
      y: label(row.cohort_start_date),
      value: row[measure],
      text: text.replace(" %", ""),
      hover: `${name(row.cohort_start_date)}, ${length} ${row.period_number}: ${text} (${shown(row.active_user_count, "number")} of ${shown(row.cohort_user_count, "number")} users active)`,
    };
  });
  const axis = {
    side: "top",
    title: {
      text: `${step(length)}s since the first${isShare ? " (cells in %)" : ` (cells in ${words.currency})`}`,
    },
  };
  if (isNarrow())
    Object.assign(axis, {
      tickvals: periods.map((_, i) => i).filter((i) => i % 4 === 0),
      ticktext: periods.filter((_, i) => i % 4 === 0),
    });
  return {
    ...heat(
      periods,
      starts.map(label),
      cells,
      color,
      { height: 110 + 28 * starts.length, xaxis: axis },
      !isNarrow() || periods.length < 6,
    ),
    columns: [
      ["Cohort", "text"],
      ["Users", "number"],
      [step(length), "number"],
      ["Active", "number"],
      ["Active again", "percent"],
      ["Revenue per user so far", "amount"],
      ["Is over", "text"],
    ],
    rows: rows.map((row) => [
      name(row.cohort_start_date),
      row.cohort_user_count,
      row.period_number,
      row.active_user_count,
      row.retention_rate,
      row.cumulative_revenue_per_user_amount,
      row.is_over ? "yes" : "not yet",
    ]),
  };
};

figures.curve = (color) => {
  const { length, isShare, rows } = cohortsChosen();
  const over = rows.filter((row) => row.is_over);
  if (!over.some((row) => row.period_number > 0)) return null;
  const valued = over.map((row) => ({
    ...row,
    revenue: row.cumulative_revenue_per_user_amount * row.cohort_user_count,
  }));
  const sums = summed(valued, "period_number", [
    "cohort_user_count",
    "active_user_count",
    "revenue",
  ]).sort(by("key"));
  const values = sums.map((row) =>
    ratio(isShare ? row.active_user_count : row.revenue, row.cohort_user_count),
  );
  return {
    traces: [
      {
        type: "scatter",
        mode: "lines+markers",
        x: sums.map((row) => row.key),
        y: values,
        line: { color: color.one, width: 2.5 },
        text: values.map((value) => shown(value, isShare ? "percent" : "amount")),
        hovertemplate: `${step(length)} %{x}: %{text}<extra></extra>`,
      },
    ],
    layout: {
      xaxis: {
        title: { text: `${step(length)}s since the first` },
        dtick: sums.length < 15 ? 1 : undefined,
      },
      yaxis: isShare
        ? { ...percentAxis, title: { text: "Active again" } }
        : { rangemode: "tozero", title: { text: `${words.currency} per user` } },
    },
    columns: [
      [step(length), "number"],
      ["Users", "number"],
      ["Active", "number"],
      [isShare ? "Active again" : "Revenue per user", isShare ? "percent" : "amount"],
    ],
    rows: sums.map((row, i) => [row.key, row.cohort_user_count, row.active_user_count, values[i]]),
  };
};
