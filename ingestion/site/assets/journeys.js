// The figures of the page Journeys, by their ids.
"use strict";

figures.journey = (color) => {
  const pairs = summed(
    chosen(rowsOf("transitions")),
    (row) => JSON.stringify([row.from_step, row.to_step]),
    ["transition_count", "total_step_seconds"],
  );
  const links = pairs
    .map(({ key, transition_count, total_step_seconds }) => {
      const [from, to] = JSON.parse(key);
      return {
        from,
        to,
        value: transition_count,
        seconds: ratio(total_step_seconds, transition_count),
      };
    })
    .sort(by("value", -1));
  if (!links.length) return null;
  const all_ = [
    "(start)",
    "page_view",
    "search",
    "product_list_view",
    "product_click",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "checkout_start",
    "checkout_step",
    "purchase",
    "refund",
  ];
  const known = new Set(links.flatMap((link) => [link.from, link.to]));
  const rest = [...known].filter((name) => !all_.includes(name) && name !== "(exit)").sort();
  const names = [...all_.filter((name) => known.has(name)), ...rest, "(exit)"];
  const after = new Map(summed(links, "from", ["value"]).map((row) => [row.key, row.value]));
  const share = (link) => ratio(link.value, after.get(link.from));
  if (option("width") === "share") for (const link of links) link.width = share(link);
  return {
    ...flows(
      links,
      names,
      color,
      (link) =>
        `${step(link.from)} → ${step(link.to)}: ${shown(link.value, "number")}, ${shown(share(link), "percent")}`,
    ),
    columns: [
      ["After", "text"],
      ["Comes", "text"],
      ["Times", "number"],
      ["Of all after it", "percent"],
      ["Mean time between", "seconds"],
    ],
    rows: links.map((link) => [
      step(link.from),
      step(link.to),
      link.value,
      share(link),
      link.to === "(exit)" || link.from === "(start)" ? null : link.seconds,
    ]),
  };
};

figures.paths = () => {
  const rows = chosen(rowsOf("paths")).filter((row) => row.path_end === option("path_end"));
  const sessions = total(rows, "session_count");
  const named = summed(
    rows.filter((row) => row.path_count === 1),
    "journey_path",
    ["session_count"],
  ).sort(by("session_count", -1));
  if (!named.length) return null;
  const path = (text) => text.split(" > ").map(step).join(" → ");
  return {
    columns: [
      ["Path", "text"],
      ["Sessions", "number"],
      ["Share", "percent"],
    ],
    rows: named
      .slice(0, 20)
      .map((row) => [path(row.key), row.session_count, ratio(row.session_count, sessions)]),
  };
};

const UNKNOWN = "(unknown)";

figures.pages = () => {
  const rows = rowsOf("pages");
  if (!rows.length) return null;
  return {
    columns: [
      ["Page", "text"],
      ["Sessions", "number"],
      ["Start here", "number"],
      ["Leave at once", "percent"],
      ["End here", "percent"],
    ],
    rows: rows.map((row) => [
      row.page_path === UNKNOWN && row.page_type !== UNKNOWN
        ? `${step(row.page_type)} (page unknown)`
        : row.page_path,
      row.session_count,
      row.entry_session_count,
      ratio(row.bounce_session_count, row.entry_session_count),
      ratio(row.exit_session_count, row.session_count),
    ]),
  };
};
