"""Figures about this node, as Prometheus reads them: samples, families, histograms. Pure.

The text format is that of Prometheus' "Exposition formats", version 0.0.4. Units are base units
(seconds, bytes, ratios); what only grows ends in `_total`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """A value with its labels; `suffix` is what a histogram's lines add to the family's name."""

    value: float
    labels: Labels
    suffix: str = ""


@dataclass(frozen=True)
class Family:
    """All samples of one name."""

    name: str
    kind: Kind
    about: str
    samples: Sequence[Sample]


Measure = Callable[[], Iterable[Family]]
"""What a part of the node offers to `/metrics`, measured when somebody asks."""


def gauge(name: str, about: str, value: float, labels: Labels | None = None) -> Family:
    """Return a family with one sample that may go up and down."""
    return Family(name, "gauge", about, [Sample(value, labels or {})])


def gauges(name: str, about: str, samples: Iterable[tuple[Labels, float | None]]) -> Family:
    """Return a family with one sample for each of the labels; what is not known is left out."""
    known = [Sample(value, labels) for labels, value in samples if value is not None]
    return Family(name, "gauge", about, known)


def counter(name: str, about: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """Return a family of counters."""
    return Family(name, "counter", about, [Sample(value, labels) for labels, value in samples])


SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""Upper bounds of buckets for how late something was."""
DURATIONS: Final = (0.1, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds of buckets for how long runs take."""
DISK_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of buckets for one flush of a disk."""


class Histogram:
    """Counts values by upper bound. One thread observes; others may read meanwhile."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Take the upper bounds, rising; what is above the last one is counted too."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, about: str) -> Family:
        """Return what was counted so far."""
        return Family(name, "histogram", about, list(self._samples()))

    def _samples(self) -> Iterator[Sample]:
        counts, total, below = tuple(self._counts), self._sum, 0
        for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
            below += count
            yield Sample(below, {"le": _number(bound)}, "_bucket")
        yield Sample(total, {}, "_sum")
        yield Sample(below, {}, "_count")


def exposition(families: Iterable[Family]) -> Iterator[str]:
    """Yield the lines of a page of figures."""
    for family in families:
        about = family.about.replace("\\", r"\\").replace("\n", r"\n")
        yield f"# HELP {family.name} {about}"
        yield f"# TYPE {family.name} {family.kind}"
        for sample in family.samples:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in sample.labels.items())
            labels = f"{{{inner}}}" if inner else ""
            yield f"{family.name}{sample.suffix}{labels} {_number(sample.value)}"


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else f"{float(value):.15g}"


def _escaped(text: str) -> str:
    """Return text as it may stand between quotes; half of a surrogate pair is no text."""
    sound = text.encode(errors="replace").decode()
    return sound.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
