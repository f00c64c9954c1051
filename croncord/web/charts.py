"""Small pictures as SVG text, drawn from rows that the API gives. Pure.

Colours come from classes of the style sheet; no picture relies on colour alone: in the strip of
runs each state has its own height and outline. Every picture carries a sentence for those who do
not see it. One path per state keeps a page of a hundred strips small, and what succeeded one after the
other is one dashed line.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from statistics import median, quantiles
from typing import Any, NamedTuple

from markupsafe import Markup

from croncord.web.format import duration, look

Row = Mapping[str, Any]

CELL, GAP, HEIGHT = 5, 1, 20
_STEP = CELL + GAP


def _full_notched(x: int) -> str:
    """Draw full height with a notch cut into its top."""
    return f"M{x} 0l2.5 5 2.5-5v20h-5z"


def _full_split(x: int) -> str:
    """Draw full height, cut across the middle."""
    return f"M{x} 0h5v9h-5zm0 11h5v9h-5z"


def _square(x: int) -> str:
    return f"M{x} 11h5v9h-5z"


def _bar(x: int) -> str:
    return f"M{x} 8h5v12h-5z"


def _hollow(x: int) -> str:
    """Draw a low frame: nothing ran, and that was meant."""
    return f"M{x + 0.5} 14.5h4v5h-4z"


def _hollow_tall(x: int) -> str:
    """Draw a frame of full height: something should have run."""
    return f"M{x + 0.5} .5h4v19h-4z"


def _three_dots(x: int) -> str:
    return f"M{x} 0h5v5h-5zm0 7.5h5v5h-5zm0 7.5h5v5h-5z"


def _line(x: int) -> str:
    return f"M{x} 18h5v2h-5z"


def _frame(x: int) -> str:
    return f"M{x + 0.5} 8.5h4v11h-4z"


_SHAPES: Mapping[str, Callable[[int], str]] = {
    "succeeded": _bar,
    "failed": _full_notched,
    "timed_out": _full_split,
    "killed": _square,
    "lost": _three_dots,
    "missed": _hollow_tall,
    "skipped": _hollow,
    "pending": _line,
    "running": _frame,
}
_OUTLINED = frozenset({"missed", "skipped", "running"})


def tally(rows: Sequence[Row]) -> str:
    """Say how runs ended, most frequent first: `28 succeeded, 2 failed`."""
    counted = Counter(look(row["state"]).word.lower() for row in rows)
    return ", ".join(f"{number} {word}" for word, number in counted.most_common()) or "no runs yet"


def strip(rows: Sequence[Row], *, cells: int = 30) -> Markup:
    """Draw the last runs of a job, oldest left; `rows` come newest first."""
    shown = list(reversed(rows[:cells]))
    start = cells - len(shown)
    width = cells * _STEP - GAP
    paths: dict[str, list[str]] = {}
    good: list[str] = []
    place = start
    for state, same in groupby(shown, key=lambda row: str(row["state"])):
        count = sum(1 for _ in same)
        if state == "succeeded":
            good.append(f"M{place * _STEP} 14h{count * _STEP - GAP}")
        else:
            shape = _SHAPES.get(state, _line)
            path = paths.setdefault(state, [])
            path += [shape((place + index) * _STEP) for index in range(count)]
        place += count
    empty = start * _STEP - GAP
    body = [Markup('<path class="sx" d="M0 19h{0}v1h-{0}z"/>').format(empty)] if start else []
    body += [Markup('<path class="sd" d="{}"/>').format("".join(good))] if good else []
    body += [
        Markup('<path class="s-{}{}" d="{}"/>').format(
            state, " so" if state in _OUTLINED else "", "".join(shapes)
        )
        for state, shapes in paths.items()
    ]
    noun = "run" if len(shown) == 1 else "runs"
    return Markup(
        '<svg class="strip" role="img" aria-label="{label}"'
        ' viewBox="0 0 {width} {height}">{body}</svg>'
    ).format(
        label=f"Last {len(shown)} {noun}: {tally(shown)}" if shown else "No runs yet",
        width=width,
        height=HEIGHT,
        body=Markup("").join(body),
    )


class Bar(NamedTuple):
    """One run in the chart of durations."""

    x: float
    width: float
    height: float
    """Of 100."""
    clipped: bool
    state: str
    label: str
    href: str


class DurationChart(NamedTuple):
    """What the template needs to draw the chart: bars, and two lines at heights of 100."""

    bars: tuple[Bar, ...]
    median_at: float
    median_words: str
    p95_at: float
    p95_words: str
    top_words: str
    width: float

    @property
    def summary(self) -> str:
        """Say the chart in a sentence."""
        return (
            f"Durations of the last {len(self.bars)} finished runs: "
            f"median {self.median_words}, 95 % below {self.p95_words}."
        )


def durations(
    rows: Sequence[Row], *, title: Callable[[Row], str], limit: int = 60
) -> DurationChart | None:
    """Lay out bars of how long the last runs took, from zero; None with fewer than three.

    `rows` come newest first. A bar beyond twice the 95th percentile is clipped and marked, so that
    one outlier does not flatten all others.
    """
    timed = [row for row in rows if row.get("duration_ms") is not None][:limit]
    timed.reverse()
    if len(timed) < 3:
        return None
    seconds = [row["duration_ms"] / 1000 for row in timed]
    p95 = quantiles(seconds, n=20, method="inclusive")[18]
    top = max(min(max(seconds), 2 * p95), 0.001)
    step = 10.0
    bars = tuple(
        Bar(
            x=index * step,
            width=step - 2,
            height=round(max(2.0, min(value / top, 1.0) * 100), 2),
            clipped=value > top,
            state=row["state"],
            label=f"{title(row)}: {duration(value)}, {look(row['state']).word.lower()}",
            href=f"/runs/{row['id']}",
        )
        for index, (row, value) in enumerate(zip(timed, seconds, strict=True))
    )
    middle = median(seconds)
    return DurationChart(
        bars=bars,
        median_at=round(middle / top * 100, 2),
        median_words=duration(middle),
        p95_at=round(min(p95 / top, 1.0) * 100, 2),
        p95_words=duration(p95),
        top_words=duration(top),
        width=len(bars) * step - 2,
    )


def meter(share: float | None, *, label: str) -> Markup:
    """Draw a bar that is filled to `share` (0 to 1); it turns to a warning above 85 %."""
    if share is None:
        return Markup("")
    filled = round(max(0.0, min(1.0, share)) * 100, 1)
    tone = "bad" if filled >= 95 else "warn" if filled >= 85 else "calm"
    return Markup(
        '<svg class="meter t-{tone}" role="img" aria-label="{label}" width="64" height="6"'
        ' viewBox="0 0 100 6" preserveAspectRatio="none"><path class="mx" d="M0 0h100v6H0z"/>'
        '<path class="mf" d="M0 0h{filled}v6H0z"/></svg>'
    ).format(tone=tone, label=label, filled=filled)


class Quorum(NamedTuple):
    """The arithmetic of a majority, for pictures and sentences."""

    voters: int
    answering: int

    @property
    def needed(self) -> int:
        """How many voters make a majority."""
        return self.voters // 2 + 1

    @property
    def spare(self) -> int:
        """How many more voters may fail; negative when there is no majority."""
        return self.answering - self.needed

    @property
    def sentence(self) -> str:
        """Say what the cluster survives now."""
        if self.voters == 1:
            return "A cluster of one: if this machine stops, nothing runs."
        if self.spare < 0:
            return f"{self.needed} voters are needed for a majority and {self.answering} answer."
        if self.spare == 0:
            return "If one more voter fails, nothing new starts."
        return f"The cluster survives the loss of {self.spare} more."


class Cell(NamedTuple):
    """One run in the large strip: a link that says what it is."""

    shape: str
    state: str
    outlined: bool
    label: str
    href: str


def cell(row: Row, title: str) -> Cell:
    """Return the cell of a run; `title` is its time in words."""
    state = row["state"]
    return Cell(
        shape=_SHAPES.get(state, _line)(0),
        state=state,
        outlined=state in _OUTLINED,
        label=f"{title}: {look(state).word.lower()}",
        href=f"/runs/{row['id']}",
    )


_LEVELS = 4


def minute_strip(counts: Sequence[int], top: int, *, label: str) -> Markup:
    """Draw sixty minutes: the more launches, the taller and darker; one path per level."""
    paths: dict[int, list[str]] = {}
    for minute, number in enumerate(counts):
        if number:
            level = max(1, -(-number * _LEVELS // max(top, _LEVELS)))
            height = 5 * level
            paths.setdefault(level, []).append(f"M{minute * 6} {HEIGHT - height}h5v{height}h-5z")
    width = len(counts) * _STEP - GAP
    body = Markup("").join(
        Markup('<path class="h{}" d="{}"/>').format(level, "".join(shapes))
        for level, shapes in sorted(paths.items())
    )
    return Markup(
        '<svg class="minutes" role="img" aria-label="{label}" viewBox="0 0 {width} {height}"'
        ' preserveAspectRatio="none"><path class="sx" d="M0 19h{width}v1h-{width}z"/>{body}</svg>'
    ).format(label=label, width=width, height=HEIGHT, body=body)


class Stack(NamedTuple):
    """Half an hour of the timeline: parts from the bottom up, as (state, y, height) of 100."""

    x: int
    parts: tuple[tuple[str, float, float], ...]
    at: str
    label: str
    is_planned: bool


_STACK_ORDER = ("succeeded", "skipped", "killed", "missed", "lost", "timed_out", "failed")


def stacks(
    steps: Sequence[tuple[str, Mapping[str, int]]], *, title: Callable[[str], str]
) -> tuple[Stack, ...]:
    """Lay out half-hours of `(time, {state: count})` as stacked bars; `planned` ones are outlined.

    The highest bar is full; failures are on top, where they are seen, and never thinner than a line.
    """
    top = max((sum(counts.values()) for _, counts in steps), default=0) or 1
    found = []
    for index, (at, counts) in enumerate(steps):
        parts, y = [], 100.0
        order = ["planned", *_STACK_ORDER]
        for state in [*(s for s in order if s in counts), *(s for s in counts if s not in order)]:
            height = max(3.0, counts[state] / top * 92)
            y -= height
            parts.append((state, round(max(y, 0.0), 2), round(height, 2)))
        words = [
            f"{n:,} {'planned' if s == 'planned' else look(s).word.lower()}"
            for s, n in counts.items()
        ]
        found.append(
            Stack(
                x=index * 10,
                parts=tuple(parts),
                at=at,
                label=f"{title(at)}: {', '.join(words) or 'nothing'}",
                is_planned="planned" in counts,
            )
        )
    return tuple(found)
