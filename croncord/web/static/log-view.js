// Live output: lines come as finished HTML, a chunk at a time. Twenty thousand lines stay in the
// page; the rest is in the download. The stream closes while the tab is hidden and goes on after
// the last line it gave.

import { giveSlot, takeSlot } from "./events.js";
import { startLineLinks } from "./log-lines.js";

const LINES_KEPT = 20000;
const CHUNK_LINES = 500;
const NEAR_END_PX = 40;
const TELL_MS = 10000;

export function startLogView() {
  const box = document.querySelector("[data-log]");
  if (!box) return;
  const view = box.querySelector("[data-log-view]");
  const status = box.querySelector("[data-log-status]");
  const follow = box.querySelector("[data-log-follow]");
  const chunks = [];
  let [source, opening, place, lines, told] = [null, false, box.dataset.place, 0, 0];

  let scrolling = 0;
  const toEnd = () => {
    scrolling ||= requestAnimationFrame(() => {
      scrolling = 0;
      if (follow?.checked) view.scrollTop = view.scrollHeight;
    });
  };
  const tell = (words) => {
    told = Date.now();
    if (status.textContent !== words) status.textContent = words;
  };

  function showProgress(value) {
    const bar = document.querySelector("[data-log-progress]");
    bar.hidden = false;
    bar.querySelector("progress").value = value;
    bar.querySelector("span").textContent = `${value} %`;
  }

  function rest() {
    let pre = view.querySelector("[data-log-unfinished]");
    if (!pre) {
      view.querySelector("[data-log-empty]")?.remove();
      pre = document.createElement("pre");
      pre.dataset.logUnfinished = "";
      view.append(pre);
    }
    return pre;
  }

  function append({ lines: html, count, unfinished, progress }) {
    if (progress !== null) showProgress(progress);
    const last = rest();
    let chunk = chunks.at(-1);
    if (count && (!chunk || chunk.count + count > CHUNK_LINES)) {
      chunk?.pre.classList.add("full"); // out of sight it need not be laid out
      chunk = { pre: document.createElement("pre"), count: 0 };
      chunks.push(chunk);
      last.before(chunk.pre);
    }
    if (count) {
      chunk.pre.insertAdjacentHTML("beforeend", html);
      chunk.count += count;
      lines += count;
    }
    if (last.innerHTML !== unfinished) last.innerHTML = unfinished;
    while (lines > LINES_KEPT && chunks.length > 1) {
      const old = chunks.shift();
      old.pre.remove();
      lines -= old.count;
    }
    if (Date.now() - told > TELL_MS) tell(`Running, ${lines.toLocaleString("en")} new lines`);
    toEnd();
  }

  // Without a slot the server closes after what there is, and the browser comes back for more.
  async function open() {
    if (source || opening || !box.dataset.log || document.hidden) return;
    opening = true;
    const mine = await takeSlot();
    opening = false;
    source = new EventSource(
      `${box.dataset.log}&from=${encodeURIComponent(place)}${mine ? "" : "&once=1"}`,
    );
    source.addEventListener("lines", (event) => {
      place = event.lastEventId || place;
      append(JSON.parse(event.data));
    });
    source.addEventListener("end", () => {
      close();
      box.dataset.log = "";
      tell("Ended");
      document.dispatchEvent(new Event("croncord:refresh"));
    });
    source.onerror = () => {
      if (mine) tell("Reconnecting…");
      if (source?.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 2000);
      }
    };
    source.onopen = () => tell("Running");
  }

  function close() {
    if (source) giveSlot();
    source?.close();
    source = null;
  }

  view.addEventListener("scroll", () => {
    if (follow) follow.checked = view.scrollTop + view.clientHeight > view.scrollHeight - NEAR_END_PX;
  });
  follow?.addEventListener("change", toEnd);
  box.querySelector("[data-log-wrap]").addEventListener("change", (event) => {
    view.classList.toggle("wrapped", event.target.checked);
  });
  box.querySelector("[data-log-stderr]").addEventListener("change", (event) => {
    view.classList.toggle("no-stderr", !event.target.checked);
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  document.addEventListener("croncord:page", ({ detail }) => {
    const fresh = detail.querySelector("[data-log]");
    if (fresh && fresh.dataset.attempt !== box.dataset.attempt) location.reload(); // a new attempt
  });
  if (view.hasAttribute("data-log-at-end")) view.scrollTop = view.scrollHeight;
  startLineLinks(box, view);
  open();
}
