// Live output as finished HTML. The stream closes while the tab is hidden, and goes on after.

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
  const last = view.querySelector("[data-log-unfinished]");
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
    status.textContent = words;
  };

  function showProgress(value) {
    const bar = document.querySelector("[data-log-progress]");
    bar.hidden = false;
    bar.querySelector("progress").value = value;
    bar.querySelector("span").textContent = `${value} %`;
  }

  function append({ lines: html, count, unfinished, progress }) {
    if (progress !== null) showProgress(progress);
    view.querySelector("[data-log-empty]")?.remove();
    if (count) {
      let chunk = chunks.at(-1);
      if (!chunk || chunk.count + count > CHUNK_LINES) {
        chunk?.pre.classList.add("full"); // out of sight it need not be laid out
        chunk = { pre: document.createElement("pre"), count: 0 };
        chunks.push(chunk);
        last.before(chunk.pre);
      }
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
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  document.addEventListener("croncord:page", ({ detail }) => {
    const fresh = detail.querySelector("[data-log]");
    if (fresh && fresh.dataset.attempt !== box.dataset.attempt) location.reload(); // a new attempt
  });
  if (view.hasAttribute("data-log-at-end")) view.scrollTop = view.scrollHeight;
  startLineLinks(box, view);
  open();
}
