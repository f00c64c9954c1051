"""What axe, a narrow phone, 200 % zoom and the Tab key say of a page that is open."""

from browser_window import WIDE, Axe

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE, ZOOMED = {"width": 320, "height": 640}, {"width": 640, "height": 430}
"""The second is a window of 1280 by 860 at 200 %."""

# Controls are known by what they are: a live page may replace them meanwhile.
_LISTEN = """() => {
  window.called = (it) => [it.tagName, it.id, it.name, it.getAttribute("href"), it.value].join();
  window.walked = new Set();
  addEventListener("focusin", (event) => walked.add(called(event.target)));
  document.activeElement.blur();
  scrollTo(0, 0);
}"""
_UNREACHED = """() => {
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";
  return [...document.querySelectorAll(controls)]
    .filter((it) => it.tabIndex >= 0 && !it.disabled && it.checkVisibility({visibilityProperty: true}))
    .filter((it) => !walked.has(called(it)) && it.type != "radio")
    .map((it) => it.outerHTML.slice(0, 120));
}"""
_IS_MARKED = """() => {
  const it = document.activeElement, style = getComputedStyle(it);
  const marked = style.outlineStyle != "none" && parseFloat(style.outlineWidth) >= 2;
  return it == document.body ? null : marked ? "" : it.outerHTML.slice(0, 120);
}"""


async def violations(page):
    found = await Axe().run(page, options={"runOnly": RULES})
    return [
        (rule["id"], rule["help"], [node["html"][:120] for node in rule["nodes"][:3]])
        for rule in found.response["violations"]
    ]


async def look_at(page, what):
    """Fail on what axe finds in light or dark, and on scrolling sideways when narrow or zoomed."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == [], (what, scheme)
    for size in (PHONE, ZOOMED):
        await page.set_viewport_size(size)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], (what, size)
    await page.set_viewport_size(WIDE)


async def walk(page, what, *, steps=200):
    """Fail if Tab does not come to everything, or if the focus cannot be seen somewhere."""
    await page.evaluate(_LISTEN)
    for _ in range(steps):
        await page.keyboard.press("Tab")
        unmarked = await page.evaluate(_IS_MARKED)
        if unmarked is None:
            break
        assert unmarked == "", what
    assert await page.evaluate(_UNREACHED) == [], what
