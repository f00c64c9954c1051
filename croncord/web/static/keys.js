// Keyboard shortcuts. The page says which there are: `data-key` on a link, box or button. A key never
// does anything that cannot be undone: buttons are focused, not pressed.

import { openPalette } from "./palette.js";

const LEAD_MS = 1200; // how long `g` waits for its second key

function targets() {
  return [...document.querySelectorAll("[data-key]")].filter((it) => it.checkVisibility?.() ?? true);
}

function row(step) {
  const links = [...document.querySelectorAll("[data-live-rows] > tr")].map((it) => it.querySelector("a[href]"));
  const here = links.indexOf(document.activeElement?.closest("tr")?.querySelector("a[href]"));
  const next = links[Math.max(0, Math.min(links.length - 1, here + step))];
  next?.focus();
  return Boolean(next);
}

function select() {
  const box = document.activeElement?.closest("tr")?.querySelector('input[type="checkbox"]');
  box?.click();
  return Boolean(box);
}

function press(target) {
  const leads = target.matches("a, summary, [type=checkbox], [popovertarget]");
  if (leads || (target.type === "submit" && target.form?.method === "get")) target.click();
  else target.focus();
  if (target.matches("input[type=search]")) target.select();
}

function words(target) {
  if (target.dataset.key === "/") return "Search";
  const text = target.dataset.keySays || target.getAttribute("aria-label") || target.closest("label")?.textContent;
  return (text || target.textContent).trim();
}

function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function showList() {
  const rows = targets().map((it) => [it.dataset.key, words(it)]);
  if (document.querySelector("[data-live-rows]")) rows.push(["j", "Next row"], ["k", "Previous row"]);
  if (document.querySelector("[data-live-rows] [type=checkbox]")) rows.push(["x", "Select the row"]);
  rows.push(["Ctrl K", "Go to anything"], ["?", "This list"]);
  const caps = (keys) => keys.split(" ").map((key) => element("kbd", key));
  const dialog = document.getElementById("keys");
  const list = rows.flatMap(([keys, text]) => [element("dt", ...caps(keys)), element("dd", text)]);
  dialog.querySelector("dl").replaceChildren(...list);
  dialog.showModal();
}

const OWN = { j: () => row(1), k: () => row(-1), x: select, "?": showList };

export function startKeys() {
  const isOff = document.body.dataset.keys === "off";
  let lead = "";
  let timer = 0;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.altKey) {
      if (openPalette()) event.preventDefault();
      return;
    }
    if (isOff || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    const key = lead ? `${lead} ${event.key}` : event.key;
    lead = "";
    const target = targets().find((it) => it.dataset.key === key);
    if (target) press(target);
    else if (key === "/") openPalette();
    else if (!OWN[key] || OWN[key]() === false) {
      if (key !== "g") return;
      lead = "g";
      clearTimeout(timer);
      timer = setTimeout(() => (lead = ""), LEAD_MS);
    }
    event.preventDefault();
  });
  document.querySelector("[data-show-keys]")?.addEventListener("click", showList);
}
