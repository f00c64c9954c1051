// Keeps "in 3 min" and "for 12 s" true. The words are those of croncord.web.format.

const SERVER_AHEAD = Number(document.body.dataset.now || Date.now()) - Date.now();

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [Infinity]];

/** `3 min 12 s`: the largest unit and the next. */
function span(seconds) {
  const whole = Math.floor(seconds);
  const at = UNITS.findIndex(([size]) => whole >= size || size === 1);
  const [[size, name], [small, smallName]] = UNITS.slice(at);
  const rest = Math.floor((whole % size) / small);
  return `${Math.floor(whole / size)} ${name}` + (rest ? ` ${rest} ${smallName}` : "");
}

function relative(seconds) {
  const [size, largest] = [Math.abs(seconds), span(Math.abs(seconds)).split(" ", 2).join(" ")];
  if (size < 1) return "now";
  if (seconds < 0) return `${largest} ago`;
  return `in ${size < 3600 ? largest : span(size)}`;
}

function show(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Bring all times of the page up to date. */
export function tick() {
  const now = Date.now() + SERVER_AHEAD;
  for (const element of document.querySelectorAll("time[data-relative]")) {
    show(element, relative((Date.parse(element.dateTime) - now) / 1000));
  }
  for (const element of document.querySelectorAll("time[data-elapsed]")) {
    show(element, span(Math.max(0, now - Date.parse(element.dateTime)) / 1000));
  }
}

export function startTimes() {
  setInterval(() => document.hidden || tick(), 1000);
}
