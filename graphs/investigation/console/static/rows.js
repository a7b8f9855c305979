// Rows of tables: one is chosen at a time, a click opens what it is about.

let chosen = null;

export function rows(page) {
  page.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-href]");
    const meant = event.target.closest("a, button, summary, form, input, label, details");
    if (row && !meant && String(getSelection()) === "") location.assign(row.dataset.href);
  });
  // Coming back to #m3 (after a verdict) goes on from there.
  const target = location.hash.length > 1 && page.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.matches("tr[data-href]")) choose(target);
}

export function current() {
  return chosen;
}

export function choose(row) {
  if (chosen) chosen.classList.remove("on");
  chosen = row;
  row.classList.add("on");
  row.scrollIntoView({ block: "nearest" });
  // The row's link takes the focus, so that a screen reader says where we are and Tab goes on from there.
  const link = row.querySelector("a[href]");
  if (link) link.focus({ preventScroll: true });
}

export function step(by) {
  const all = [...document.querySelectorAll("table[data-rows] tbody tr")].filter((row) => row.offsetParent !== null);
  if (all.length === 0) return;
  const at = chosen === null ? (by > 0 ? -1 : all.length) : all.indexOf(chosen);
  choose(all[Math.min(Math.max(at + by, 0), all.length - 1)]);
}
