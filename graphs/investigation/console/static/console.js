// What the console adds where scripts run: keys, rows to click, the graph to explore. Every page works without it.
import { keys } from "./keys.js";
import { explore } from "./explore.js";
import { rows } from "./rows.js";

document.documentElement.classList.add("js");
rows(document);
keys(document);
explore(document);

// The word for what was done belongs to one look: a reload should not say it again.
const here = new URL(location.href);
if (here.searchParams.has("done")) {
  here.searchParams.delete("done");
  history.replaceState(null, "", here);
}

// One menu or sheet at a time; a click elsewhere and Escape close it.
const sheets = () => document.querySelectorAll("details.menu[open], details.judge[open]");
document.addEventListener("click", (event) => {
  for (const open of sheets()) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of sheets()) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
