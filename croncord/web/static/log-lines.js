// Links to lines, `#L12` and `#L12-L20`: one that is not in the page is fetched. And earlier lines.

import { fetchDocument } from "./ask.js";

const ABOVE = 3;
const RANGE_MAX = 2000;

function wanted() {
  const match = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
  if (!match) return null;
  const [first, last] = [Number(match[1]), Number(match[2] || match[1])].sort((a, b) => a - b);
  return { first, last: Math.min(last, first + RANGE_MAX) };
}

export function startLineLinks(box, view) {
  const line = (number) => document.getElementById(`L${number}`);

  function show({ scroll }) {
    view.querySelectorAll("a.on").forEach((it) => it.classList.remove("on"));
    const range = wanted();
    if (!range) return;
    if (!line(range.first)) {
      const here = new URL(box.dataset.lines, location.href);
      if (new URLSearchParams(location.search).has("first")) return; // there is no such line
      here.searchParams.set("first", Math.max(1, range.first - ABOVE));
      here.hash = location.hash;
      location.replace(here);
      return;
    }
    for (let number = range.first; number <= range.last; number += 1) line(number)?.classList.add("on");
    if (scroll) line(range.first).scrollIntoView({ block: "center" });
  }

  view.addEventListener("click", (event) => {
    const link = event.target.closest("a[id^=L]");
    if (!link) return;
    event.preventDefault();
    const start = event.shiftKey && wanted();
    history.replaceState(null, "", start ? `#L${start.first}-${link.id}` : `#${link.id}`);
    show({ scroll: false });
  });
  addEventListener("hashchange", () => show({ scroll: true }));
  show({ scroll: true });

  const earlier = box.querySelector("[data-log-earlier]");
  earlier.addEventListener("click", async (event) => {
    const link = event.target.closest("a:first-child");
    if (!link) return;
    event.preventDefault();
    try {
      const fresh = await fetchDocument(link.href);
      const before = view.scrollHeight;
      view.prepend(fresh.querySelector("[data-log-view] pre"));
      view.scrollTop += view.scrollHeight - before;
      const other = fresh.querySelector("[data-log-earlier]");
      earlier.replaceChildren(...other.childNodes);
      earlier.hidden = other.hidden;
    } catch {
      location.assign(link.href);
    }
  });
}
