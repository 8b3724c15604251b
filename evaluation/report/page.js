"use strict";

// Headings of tables become buttons that sort by their column; a second press turns the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const wasDescending = heading.getAttribute("aria-sort") === "descending";
      const wasAscending = heading.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
      const isNumeric = rows.some(([value]) => typeof value === "number");
      const isDescending = wasAscending || (isNumeric && !wasDescending);
      rows.sort(([one], [other]) => compare(one, other) * (isDescending ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    });
  });
}

function key(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const match = /^[<\[]?([+-]?(?:\d[\d,]*\.?\d*(?:e[+-]?\d+)?|inf))(?![\w.-])/.exec(text);
  if (!match) return text;
  return match[1].endsWith("inf") ? Infinity : Number(match[1].replaceAll(",", ""));
}

// Numbers stand before words, words in the order of the reader's language.
function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one === other ? 0 : one - other;
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return one.localeCompare(other, undefined, { numeric: true });
}

// What is folded away is printed too, and folded again afterwards.
const opened = [];
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) {
    fold.open = true;
    opened.push(fold);
  }
});
addEventListener("afterprint", () => {
  for (const fold of opened.splice(0)) fold.open = false;
});
