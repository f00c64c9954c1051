// Numbers of lines: `#L12` and `#L12-L20` mark lines and are shared as links; a line that is not in
// the page is fetched. "Load earlier lines" puts them above without leaving the page.

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
      if (new URL(location.href).searchParams.has("first")) return; // there is no such line
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

  box.querySelector("[data-log-earlier]").addEventListener("click", async (event) => {
    const link = event.target.closest("a");
    if (!link || link !== link.parentElement.firstElementChild) return;
    event.preventDefault();
    try {
      const response = await fetch(link.href);
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      const known = Number(view.querySelector("a[id^=L]").id.slice(1));
      const pre = document.createElement("pre");
      pre.innerHTML = fresh.querySelector("[data-log-view] pre").innerHTML;
      cutFrom(pre, known);
      const before = view.scrollHeight;
      view.prepend(pre);
      view.scrollTop += view.scrollHeight - before;
      const earlier = fresh.querySelector("[data-log-earlier]");
      box.querySelector("[data-log-earlier]").replaceChildren(...earlier.childNodes);
      box.querySelector("[data-log-earlier]").hidden = earlier.hidden;
    } catch {
      location.assign(link.href);
    }
  });
}

// The window before may reach into the lines that are here already.
function cutFrom(pre, number) {
  const link = pre.querySelector(`#L${number}`);
  if (!link) return;
  const range = document.createRange();
  range.setStartBefore(link.parentElement === pre ? link : link.parentElement);
  range.setEndAfter(pre.lastChild);
  range.deleteContents();
}
