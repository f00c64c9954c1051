// Takes the regions marked data-live-region from a fresh copy of the page, when something happened.
// Also the live filter of lists, and the banner of a node that does not answer.

import { asking } from "./ask.js";
import { connect } from "./events.js";
import { tick } from "./times.js";

const PULSE_MS = 2000;
const PAGE_MS = 9000;
const SOON_MS = 300;
const PATIENCE_MS = 5000;
const FILTER_MS = 150;

const sent = new WeakMap(); // region → its HTML as the server sent it
const newer = new Map(); // the same, held back
const hasContent = Boolean(document.querySelector("main [data-live-region]"));
const newerButton = document.getElementById("newer");
let looking = null;
let lastLook = 0;
let soon = 0;
let isSilent = false;

const regions = () => document.querySelectorAll("[data-live-region]");

function focusables(region) {
  return [...region.querySelectorAll("a[href], button, input, select, summary, [tabindex]")];
}

function swap(region, html) {
  const focused = focusables(region).indexOf(document.activeElement);
  const open = [...region.querySelectorAll("details")].map((it) => it.open);
  const ticked = [...region.querySelectorAll(":checked")].map((it) => `${it.name}=${it.value}`);
  region.innerHTML = html;
  for (const box of ticked.length ? region.querySelectorAll("[type=checkbox]") : []) {
    box.checked ||= ticked.includes(`${box.name}=${box.value}`);
  }
  sent.set(region, html);
  newer.delete(region);
  region.querySelectorAll("details").forEach((it, index) => (it.open = open[index] ?? it.open));
  if (focused >= 0) focusables(region)[focused]?.focus({ preventScroll: true });
  tick();
}

function ids(root) {
  return [...root.querySelectorAll("[data-live-rows] > tr")].map((row) => row.id).join(" ");
}

function update(region, fresh) {
  const html = fresh.innerHTML;
  if (sent.get(region) === html) return;
  const isCalm = ids(region) === ids(fresh) || !ids(region) || !region.matches(":hover, :focus-within");
  if (isCalm) swap(region, html);
  else newer.set(region, html);
}

function show(fresh, take = update) {
  // After signing in again in another tab, forms belong to the new session.
  const token = fresh.querySelector('meta[name="csrf-token"]')?.content;
  for (const field of document.getElementsByName("csrf_token")) field.value = token || field.value;
  for (const region of regions()) {
    const other = fresh.querySelector(`[data-live-region="${region.dataset.liveRegion}"]`);
    if (other) take(region, other);
  }
  if (newerButton) newerButton.hidden = !newer.size;
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
  for (const banner of document.querySelectorAll("[data-why]")) banner.hidden = banner.dataset.why !== why;
  isSilent = why === "silent";
}

async function look(url) {
  if (looking || document.hidden || !document.body.hasAttribute("data-signed-in")) return;
  looking = new AbortController();
  const patience = setTimeout(() => looking.abort(), PATIENCE_MS);
  try {
    const fresh = await fetchPage(url, looking.signal);
    if (fresh) {
      away("");
      show(fresh);
    }
  } catch {
    away("silent"); // gone or slow; the next look tells
  }
  clearTimeout(patience);
  looking = null;
}

function refresh() {
  if (!hasContent || soon || document.hidden) return;
  soon = setTimeout(() => {
    soon = 0;
    lastLook = Date.now();
    look(location.href);
  }, SOON_MS);
}

function startFilter(form) {
  const filter = asking(FILTER_MS, async (signal) => {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    const url = `${new URL(form.action).pathname}${query.size ? `?${query}` : ""}`;
    const fresh = await fetchPage(url, signal);
    if (!fresh) return;
    history.replaceState(null, "", url);
    show(fresh, (region, other) => swap(region, other.innerHTML));
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
}

export function startLive() {
  for (const region of regions()) sent.set(region, region.innerHTML);
  document.querySelectorAll("[data-live-form]").forEach(startFilter);
  document.addEventListener("croncord:refresh", refresh);
  newerButton?.addEventListener("click", () => {
    newer.forEach((html, region) => swap(region, html));
    newerButton.hidden = true;
  });
  setInterval(() => {
    const due = hasContent && Date.now() - lastLook > PAGE_MS;
    if (due) lastLook = Date.now();
    look(due ? location.href : "/pulse");
  }, PULSE_MS);
  document.addEventListener("visibilitychange", refresh);
  const hold = (event) => {
    if (!isSilent) return;
    event.preventDefault(); // it would be lost: the banner tells
    event.stopPropagation();
  };
  document.addEventListener("submit", hold, true);
  if (hasContent && document.body.hasAttribute("data-signed-in")) connect();
}
