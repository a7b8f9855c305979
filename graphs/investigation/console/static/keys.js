// One key, one thing: / j k o c e h p 1–5 n ?. Not while somebody writes, and never with Ctrl, Alt or Cmd.
import { choose, current, step } from "./rows.js";

const MARKED = "ringtrace-path-from";

export function keys(page) {
  const help = page.getElementById("help");
  const showHelp = () => help && !help.open && help.showModal();
  for (const button of page.querySelectorAll("[data-help]")) button.addEventListener("click", showHelp);

  const press = (name) => page.querySelector(`[data-key-action="${name}"]`)?.click();
  const actions = {
    "/": () => page.getElementById("q")?.select(),
    j: () => step(1),
    k: () => step(-1),
    o: () => current()?.dataset.href && location.assign(current().dataset.href),
    c: () => press("c"),
    e: () => (page.querySelector("[data-export]") ? openExport(page) : press("e")),
    h: () => press("h"),
    n: () => page.querySelector("[data-note]")?.focus(),
    p: () => path(page),
    "?": showHelp,
  };
  for (const digit of "12345") actions[digit] = () => judge(Number(digit));

  page.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || help?.open) return;
    if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select")) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

// A verdict on the chosen row: the sheet opens, the word is chosen, the reason waits to be written.
function judge(number) {
  const sheet = current()?.querySelector("[data-judge]");
  if (!sheet) {
    if (!current()) {
      const first = document.querySelector("tr:has([data-judge])");
      if (first) choose(first);
    }
    return;
  }
  sheet.open = true;
  sheet.querySelectorAll("input[name=verdict]")[number - 1].checked = true;
  sheet.querySelector("textarea[name=reason]").focus();
}

function openExport(page) {
  const menu = page.querySelector("[data-export]");
  menu.open = true;
  menu.scrollIntoView({ block: "nearest" });
  menu.querySelector("a").focus();
}

// The first p marks where a path begins, the next one, on another row or page, asks for the path.
function path(page) {
  const entity = current()?.dataset.entity;
  if (!entity) return location.assign("/path");
  const from = sessionStorage.getItem(MARKED);
  if (from === null || from === entity) {
    sessionStorage.setItem(MARKED, entity);
    return say(page, `Path from ${entity.split(":")[0]}: choose another row and press p`);
  }
  sessionStorage.removeItem(MARKED);
  location.assign(`/path?${new URLSearchParams({ from, to: entity })}`);
}

function say(page, text) {
  const told = page.querySelector(".done") ?? page.createElement("p");
  told.className = "done";
  told.setAttribute("role", "status");
  told.textContent = text;
  page.querySelector("main").prepend(told);
}
