// Live output: lines come as finished HTML, a chunk at a time. Twenty thousand lines stay in the
// page; the rest is in the download. The stream closes while the tab is hidden and goes on after
// the last line it gave.

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
  let [source, place, lines, told] = [null, box.dataset.place, 0, 0];

  const toEnd = () => {
    if (follow?.checked) view.scrollTop = view.scrollHeight;
  };
  const tell = (words) => {
    told = Date.now();
    if (status.textContent !== words) status.textContent = words;
  };

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

  function append({ lines: html, count, unfinished }) {
    const last = rest();
    let chunk = chunks.at(-1);
    if (count && (!chunk || chunk.count + count > CHUNK_LINES)) {
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

  function open() {
    if (source || !box.dataset.log || document.hidden) return;
    source = new EventSource(`${box.dataset.log}&from=${encodeURIComponent(place)}`);
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
      tell("Reconnecting…");
      if (source?.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 2000);
      }
    };
    source.onopen = () => tell("Running");
  }

  function close() {
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
    const fresh = detail.querySelector("[data-log]")?.dataset.log;
    if (fresh && !box.dataset.log) location.reload(); // another attempt has begun
  });
  if (view.hasAttribute("data-log-at-end")) view.scrollTop = view.scrollHeight;
  open();
}
