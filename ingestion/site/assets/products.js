// The figures of the page Products, by their ids.
"use strict";

const PRODUCT_SUMS = [
  "view_count",
  "view_session_count",
  "cart_session_count",
  "view_to_cart_session_count",
  "cart_to_purchase_session_count",
  "order_count",
  "purchased_quantity",
  "gross_revenue_amount",
];

function productsChosen() {
  const rows = chosen(rowsOf("products"));
  const known = new Map(rows.map((row) => [row.product_id, row]));
  return summed(rows, "product_id", PRODUCT_SUMS).map((row) => ({
    ...row,
    name: known.get(row.key).product_name,
    category: known.get(row.key).category,
  }));
}

figures["top-products"] = (color) => {
  const rows = productsChosen()
    .filter((row) => row.gross_revenue_amount > 0)
    .sort(by("gross_revenue_amount", -1))
    .slice(0, 20);
  if (!rows.length) return null;
  return {
    ...bars(
      rows.map((row) => row.name),
      rows.map((row) => row.gross_revenue_amount),
      rows.map((row) => shown(row.gross_revenue_amount, "number")),
      color,
      { xaxis: { title: { text: `Gross revenue, ${words.currency}` } } },
    ),
    columns: [
      ["Product", "text"],
      ["Gross revenue", "amount"],
      ["Orders", "number"],
    ],
    rows: rows.map((row) => [row.name, row.gross_revenue_amount, row.order_count]),
  };
};

figures["product-categories"] = (color) => {
  const rows = summed(chosen(rowsOf("categories")), "category", [
    "view_count",
    "order_count",
    "gross_revenue_amount",
  ])
    .filter((row) => row.gross_revenue_amount > 0)
    .sort(by("gross_revenue_amount", -1))
    .slice(0, 15);
  if (!rows.length) return null;
  return {
    ...bars(
      rows.map((row) => row.key),
      rows.map((row) => row.gross_revenue_amount),
      rows.map((row) => shown(row.gross_revenue_amount, "number")),
      color,
      { xaxis: { title: { text: `Gross revenue, ${words.currency}` } } },
    ),
    columns: [
      ["Category", "text"],
      ["Gross revenue", "amount"],
      ["Views", "number"],
    ],
    rows: rows.map((row) => [row.key, row.gross_revenue_amount, row.view_count]),
  };
};

figures.interest = (color) => {
  const rows = productsChosen().filter((row) => row.view_session_count > 0);
  if (!rows.length) return null;
  const share = (row) => row.view_to_cart_session_count / row.view_session_count;
  const most = Math.max(...rows.map((row) => row.order_count), 1);
  return {
    traces: [
      {
        type: "scatter",
        mode: "markers",
        x: rows.map((row) => row.view_session_count),
        y: rows.map(share),
        marker: {
          color: color.one,
          opacity: 0.6,
          size: rows.map((row) => 6 + 22 * Math.sqrt(row.order_count / most)),
          line: { color: color.card, width: 1 },
        },
        text: rows.map(
          (row) =>
            `${plain(row.name)}<br>${shown(row.view_session_count, "number")} sessions, ${shown(share(row), "percent")} to cart, ${shown(row.order_count, "number")} orders`,
        ),
        hoverinfo: "text",
      },
    ],
    layout: {
      height: 380,
      xaxis: { type: "log", dtick: "D2", title: { text: "Sessions that viewed it (logarithmic)" } },
      yaxis: { ...percentAxis, title: { text: "Put in the cart" } },
    },
    columns: [
      ["Product", "text"],
      ["Sessions with a view", "number"],
      ["Put in the cart", "percent"],
      ["Orders", "number"],
    ],
    rows: rows
      .sort(by("view_session_count", -1))
      .map((row) => [row.name, row.view_session_count, share(row), row.order_count]),
  };
};

figures.products = () => {
  const rows = productsChosen().sort(by("gross_revenue_amount", -1));
  if (!rows.length) return null;
  return {
    columns: [
      ["Product", "text"],
      ["Category", "text"],
      ["Views", "number"],
      ["View to cart", "percent"],
      ["Cart to purchase", "percent"],
      ["Orders", "number"],
      ["Gross revenue", "amount"],
    ],
    rows: rows.map((row) => [
      row.name,
      row.category,
      row.view_count,
      ratio(row.view_to_cart_session_count, row.view_session_count),
      ratio(row.cart_to_purchase_session_count, row.cart_session_count),
      row.order_count,
      row.gross_revenue_amount,
    ]),
  };
};

figures.pairs = () => {
  const rows = rowsOf("pairs").filter((row) => row.basis === option("basis"));
  if (!rows.length) return null;
  return {
    columns: [
      ["Product", "text"],
      ["With", "text"],
      ["Baskets with both", "number"],
      ["Of all baskets", "percent"],
      ["Lift", "amount"],
    ],
    rows: rows.map((row) => [
      row.product_name,
      row.other_product_name,
      row.pair_basket_count,
      row.support_rate,
      row.lift,
    ]),
  };
};

/** Where no two products are in enough orders together, pairs are those of views. */
figures.prepare = () => {
  const basis = one('[data-option="basis"]');
  if (!rowsOf("pairs").some((row) => row.basis === basis.value)) basis.value = "view";
};
