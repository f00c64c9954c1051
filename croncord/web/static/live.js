// Keeps the page true: regions marked data-live-region are taken from a fresh copy of the page.
// Events of the cluster say when to look; without them it looks every few seconds. A list does not
// move under the pointer: it offers what is new instead. Also the live filter of list pages, and
// the banner of a node that does not answer.

import { listen } from "./events.js";
import { tick } from "./times.js";

const PULSE_MS = 3000;
const PAGE_MS = 9000;
const SOON_MS = 300;
const PATIENCE_MS = 5000;

const sent = new WeakMap(); // region → its HTML as the server sent it
const hasContent = Boolean(document.querySelector("main [data-live-region]"));
let looking = null;
let lastLook = 0;
let soon = 0;

function regions(root) {
  return root.querySelectorAll("[data-live-region]");
}

function remember() {
  for (const region of regions(document)) sent.set(region, region.innerHTML);
}

function focusables(region) {
  return [...region.querySelectorAll("a[href], button, input, select, summary, [tabindex]")];
}

function swap(region, html) {
  const focused = focusables(region).indexOf(document.activeElement);
  const open = [...region.querySelectorAll("details")].map((it) => it.open);
  const scrolled = region.querySelector(".cells")?.scrollLeft;
  const ticked = [...region.querySelectorAll('input[type="checkbox"]:checked')].map((it) => `${it.name}=${it.value}`);
  region.innerHTML = html;
  for (const box of ticked.length ? region.querySelectorAll('input[type="checkbox"]') : []) {
    box.checked ||= ticked.includes(`${box.name}=${box.value}`);
  }
  sent.set(region, html);
  region.querySelectorAll("details").forEach((it, index) => (it.open = open[index] ?? it.open));
  if (scrolled) region.querySelector(".cells").scrollLeft = scrolled;
  if (focused >= 0) focusables(region)[focused]?.focus({ preventScroll: true });
  for (const element of region.querySelectorAll("[data-without-scripts]")) element.hidden = true;
  tick();
}

function ids(root) {
  return [...root.querySelectorAll("[data-live-rows] > tr")].map((row) => row.id).join(" ");
}

function offer(region, html) {
  let pill = region.querySelector("[data-newer]");
  if (!pill) {
    pill = document.createElement("button");
    pill.className = "btn small newer";
    pill.dataset.newer = "";
    pill.textContent = "The list has changed – show";
    region.prepend(pill);
  }
  pill.onclick = () => swap(region, html);
}

function update(region, fresh) {
  const html = fresh.innerHTML;
  if (sent.get(region) === html) return;
  const sameRows = ids(region) === ids(fresh);
  if (!sameRows && ids(region) && region.matches(":hover, :focus-within")) offer(region, html);
  else swap(region, html);
}

// After signing in again in another tab, forms that are being filled in belong to the new session.
function renewForms(fresh) {
  const token = fresh.querySelector('meta[name="csrf-token"]')?.content;
  if (!token) return;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
}

/** Take every region of the page from this document. */
function show(fresh, { filter = false } = {}) {
  for (const region of regions(document)) {
    const name = region.dataset.liveRegion;
    const other = fresh.querySelector(`[data-live-region="${name}"]`);
    if (!other) continue;
    if (filter) swap(region, other.innerHTML);
    else update(region, other);
  }
  document.dispatchEvent(new CustomEvent("croncord:page", { detail: fresh }));
}

async function fetchPage(url, signal) {
  const response = await fetch(url, { headers: { "X-Croncord-Live": "1" }, signal });
  if (response.redirected && new URL(response.url).pathname === "/login") {
    away("signed-out");
    return null;
  }
  if (response.status >= 500 && response.status !== 503) return null;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function away(why) {
  const slot = document.querySelector("[data-away]");
  for (const banner of slot?.children || []) banner.hidden = banner.dataset.why !== why;
}

async function look(url) {
  if (looking || document.hidden || !document.body.hasAttribute("data-signed-in")) return;
  looking = new AbortController();
  const patience = setTimeout(() => looking?.abort(), PATIENCE_MS);
  try {
    const fresh = await fetchPage(url, looking.signal);
    if (fresh) {
      away("");
      renewForms(fresh);
      show(fresh);
    }
  } catch {
    away("silent"); // the node is gone or slow; the next look tells
  } finally {
    clearTimeout(patience);
    looking = null;
  }
}

/** Look at the whole page again, soon. */
export function refresh() {
  if (!hasContent || soon) return;
  soon = setTimeout(() => {
    soon = 0;
    lastLook = Date.now();
    look(location.href);
  }, SOON_MS);
}

function startFilter(form) {
  let waiting = 0;
  let running = null;
  const go = async () => {
    running?.abort();
    running = new AbortController();
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    const url = `${form.action.split("?")[0]}${query.size ? `?${query}` : ""}`;
    try {
      const fresh = await fetchPage(url, running.signal);
      if (!fresh) return;
      history.replaceState(null, "", url);
      show(fresh, { filter: true });
    } catch (error) {
      if (error.name !== "AbortError") away("silent");
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(go, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    go();
  });
}

export function startLive() {
  remember();
  document.querySelectorAll("[data-live-form]").forEach(startFilter);
  document.addEventListener("croncord:refresh", refresh);
  setInterval(() => {
    const due = hasContent && Date.now() - lastLook > PAGE_MS;
    if (due) lastLook = Date.now();
    look(due ? location.href : "/pulse");
  }, PULSE_MS);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  if (hasContent && document.body.hasAttribute("data-signed-in")) listen(refresh);
}
