// Keeps "in 3 min" and "for 12 s" true. The words are those of croncord.web.format.

const SERVER_AHEAD = Number(document.body.dataset.now || Date.now()) - Date.now();

/** What the server's clock says, in milliseconds. */
export function serverNow() {
  return Date.now() + SERVER_AHEAD;
}

function pair(whole, size, name, small, smallName) {
  const rest = Math.floor((whole % size) / small);
  return `${Math.floor(whole / size)} ${name}` + (rest ? ` ${rest} ${smallName}` : "");
}

function span(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  if (whole < 86400) return pair(whole, 3600, "h", 60, "min");
  return pair(whole, 86400, "d", 3600, "h");
}

function largestUnit(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

function relative(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  if (seconds < 0) return `${largestUnit(size)} ago`;
  return `in ${size < 3600 ? largestUnit(size) : span(size)}`;
}

function show(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Bring all times of the page up to date. */
export function tick() {
  const now = serverNow();
  for (const element of document.querySelectorAll("time[data-relative]")) {
    show(element, relative((Date.parse(element.dateTime) - now) / 1000));
  }
  for (const element of document.querySelectorAll("time[data-elapsed]")) {
    show(element, span(Math.max(0, now - Date.parse(element.dateTime)) / 1000));
  }
}

export function startTimes() {
  setInterval(() => document.hidden || tick(), 1000);
  document.addEventListener("visibilitychange", () => document.hidden || tick());
}
