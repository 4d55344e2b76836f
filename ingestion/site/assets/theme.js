// Before anything is drawn: the reader's earlier choice of light or dark, else the system's.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("clickmart-theme");
  } catch (error) {
    // A browser that keeps nothing for files: the system's theme then.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
