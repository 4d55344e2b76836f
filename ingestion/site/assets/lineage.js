// The figures of the page Lineage, by their ids.
"use strict";

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
    const about =
      tables[table].columns[columnSelect.value].description || tables[table].description;
    const none = tables[table].is_traced
      ? "It comes from no column: it counts rows, or is said by the model itself. "
      : "The SQL of this model could not be read, so its columns are not traced. ";
    const isSource = ["raw", "ops", "seeds"].includes(table.split(".")[0]);
    one("#column-description").textContent = (origins.length || isSource ? "" : none) + about;
    one("#trace").replaceChildren(
      ...layers([
        ...origins.map((node) => [node, "comes"]),
        [chosen_, "is"],
        ...reached(chosen_, after).map((node) => [node, "goes"]),
      ]),
    );
    history.replaceState(null, "", `#${encodeURIComponent(chosen_.join(" "))}`);
  }

  function layers(nodes) {
    return LAYERS.filter((layer) => nodes.some(([[table]]) => table.startsWith(`${layer}.`))).map(
      (layer) => {
        const section = element("section", "");
        section.append(element("h2", step(layer)));
        const own = nodes.filter(([[table]]) => table.startsWith(`${layer}.`));
        for (const table of distinct(
          own.map(([[name]]) => ({ name })),
          "name",
        )) {
          section.append(element("h3", table.split(".")[1]));
          const list = section.appendChild(element("ul", ""));
          for (const [[, column], kind] of own
            .filter(([[name]]) => name === table)
            .sort((a, b) => (a[0][1] < b[0][1] ? -1 : 1))) {
            const button = element("button", column, kind);
            button.type = "button";
            if (kind === "is") button.ariaCurrent = "true";
            button.addEventListener("click", () => show(table, column));
            list.appendChild(element("li", "")).append(button);
          }
        }
        return section;
      },
    );
  }

  const names = Object.keys(tables);
  for (const layer of [...LAYERS].reverse()) {
    const group = document.createElement("optgroup");
    group.label = step(layer);
    fill(
      group,
      names.filter((name) => name.startsWith(`${layer}.`)),
      (name) => name.split(".")[1],
    );
    if (group.children.length) tableSelect.append(group);
  }
  tableSelect.addEventListener("change", () => show(tableSelect.value, null));
  columnSelect.addEventListener("change", () => show(tableSelect.value, columnSelect.value));
  const [table, column] = decodeURIComponent(location.hash.slice(1)).split(" ");
  show(...(table in tables ? [table, column] : [tableSelect.value, null]));
}

figures.prepare = () => {
  if (one("#trace")) prepareLineage();
};
