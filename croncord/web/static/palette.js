// Ctrl+K: go to anything. The list is that of the page /find, which works without scripts. The arrow
// keys move through real links; Enter in the box opens the first.

const WAIT_MS = 120;

function links(dialog) {
  return [...dialog.querySelectorAll("[data-found] a")];
}

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
  let [timer, asking] = [0, null];

  const ask = async () => {
    asking?.abort();
    asking = new AbortController();
    try {
      const response = await fetch(`/find?q=${encodeURIComponent(box.value)}`, { signal: asking.signal });
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      found.innerHTML = fresh.querySelector("[data-found]")?.innerHTML || "";
    } catch {
      // aborted by the next key, or the node is silent: the banner tells
    }
  };
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  });
  box.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    await ask();
    links(dialog)[0]?.click();
  });
  dialog.addEventListener("keydown", (event) => {
    const all = links(dialog);
    const here = all.indexOf(document.activeElement);
    if (event.key === "ArrowDown") (all[here + 1] || all[0])?.focus();
    else if (event.key === "ArrowUp") (all[here - 1] || box).focus();
    else if (event.key.length === 1 && here >= 0 && !event.ctrlKey && !event.metaKey) return box.focus();
    else return;
    event.preventDefault();
  });
  document.querySelector("[data-open-palette]")?.addEventListener("click", (event) => {
    if (openPalette()) event.preventDefault();
  });
}
