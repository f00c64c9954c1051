// Ctrl+K: go to anything. The list is that of the page /find.

import { asking, fetchDocument } from "./ask.js";

const WAIT_MS = 120;

/** Open it; false where nobody is signed in. */
export function openPalette() {
  const dialog = document.getElementById("palette");
  if (!dialog || document.querySelector("dialog[open]")) return false;
  dialog.showModal();
  const box = dialog.querySelector("input");
  box.select();
  box.dispatchEvent(new Event("input"));
  return true;
}

export function startPalette() {
  const dialog = document.getElementById("palette");
  if (!dialog) return;
  const box = dialog.querySelector("input");
  const found = dialog.querySelector("[data-found]");
  const links = () => [...found.querySelectorAll("a")];

  const find = async (signal) => {
    const fresh = await fetchDocument(`/find?q=${encodeURIComponent(box.value)}`, { signal });
    found.replaceChildren(...(fresh.querySelector("[data-found]")?.childNodes || []));
  };
  box.addEventListener("input", asking(WAIT_MS, find));
  box.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await find();
    links()[0]?.click();
  });
  dialog.addEventListener("keydown", (event) => {
    const here = links().indexOf(document.activeElement);
    if (event.key === "ArrowDown") (links()[here + 1] || links()[0])?.focus();
    else if (event.key === "ArrowUp") (links()[here - 1] || box).focus();
    else if (event.key.length === 1 && here >= 0 && !event.ctrlKey && !event.metaKey) return box.focus();
    else return;
    event.preventDefault();
  });
  document.querySelector("[data-open-palette]").addEventListener("click", (event) => {
    if (openPalette()) event.preventDefault();
  });
}
