"""Terminal output as HTML: colours become classes, everything else a terminal obeys is dropped.

Pure. The result is escaped and safe to put into a page; it uses only `<span class>`, because the
pages' security policy forbids style attributes. 256-colour and true-colour codes are mapped to the
nearest of the 16 named colours, which the style sheet defines for light and dark.
Codes are those of ECMA-48 (SGR) and xterm's extensions 38/48.
"""

import re
from html import escape
from types import MappingProxyType
from typing import NamedTuple

_SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m"  # SGR, the one we obey
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # any other CSI
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC with their text
    r"|\x1b[ -/]*[0-~]?",  # two-character escapes, or a lone ESC
    re.DOTALL,
)
_CONTROL = MappingProxyType(
    {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\x1b"}
    | {0x7F: "\u2421"}
    | dict.fromkeys(range(128, 160), "�")
    # Invisible characters that reorder text could make a line read as something else.
    | dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), "�")
)
_FLAGS = MappingProxyType({1: "b", 2: "d", 3: "i", 4: "u", 7: "r", 9: "s"})
_OFF = MappingProxyType({22: "bd", 23: "i", 24: "u", 27: "r", 29: "s"})
_INKS: MappingProxyType[int, int | None] = MappingProxyType(
    {30 + n: n for n in range(8)} | {90 + n: 8 + n for n in range(8)} | {39: None}
)
"""Codes of the ink; those of the paper are 10 higher."""
_PALETTE = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
_LEVELS = (0, 95, 135, 175, 215, 255)


class Pen(NamedTuple):
    """What a terminal would write with: flags of `_FLAGS`, colours 0–15 or None."""

    flags: str = ""
    ink: int | None = None
    paper: int | None = None

    def classes(self) -> str:
        """Return the class names for this pen, empty for the plain one."""
        names = [f"a-{flag}" for flag in self.flags]
        if self.ink is not None:
            names.append(f"f{self.ink}")
        if self.paper is not None:
            names.append(f"g{self.paper}")
        return " ".join(names)


def line_html(line: bytes) -> str:
    """Turn one line of output, without its line end, into HTML.

    Each line starts with a plain pen, so that any part of an output can be shown alone. Bytes that
    are not UTF-8 become U+FFFD. A carriage return starts the line over, as a progress bar means it.
    """
    text = line.decode("utf-8", "replace").rstrip("\r")
    text = text[text.rfind("\r") + 1 :]
    if "\x1b" not in text:
        return escape(text.translate(_CONTROL), quote=False)
    parts: list[str] = []
    pen, done = Pen(), 0
    for match in _SEQUENCE.finditer(text):
        parts.append(_span(text[done : match.start()], pen))
        done = match.end()
        if match[1] is not None:
            pen = _apply(pen, match[1])
    parts.append(_span(text[done:], pen))
    return "".join(parts)


def plain_text(line: bytes) -> str:
    """Return one line of output as a person reads it, to search in: no colours, no commands."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    text = text[text.rfind("\r") + 1 :]
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def _span(text: str, pen: Pen) -> str:
    if not text:
        return ""
    html = escape(text.translate(_CONTROL), quote=False)
    classes = pen.classes()
    return f'<span class="{classes}">{html}</span>' if classes else html


def _apply(pen: Pen, parameters: str) -> Pen:
    # A colon separates the parts of one colour, a semicolon everything; few programs care.
    codes = [int(p[:6]) if p else 0 for p in parameters.replace(":", ";").split(";")]
    at = 0
    while at < len(codes):
        code = codes[at]
        at += 1
        if code in (38, 48):
            colour, used = _extended(codes[at:])
            at += used
            pen = pen._replace(ink=colour) if code == 38 else pen._replace(paper=colour)
        else:
            pen = _simple(pen, code)
    return pen


def _simple(pen: Pen, code: int) -> Pen:
    if code == 0:
        return Pen()
    if code in _FLAGS:
        return pen._replace(flags="".join(sorted({*pen.flags, _FLAGS[code]})))
    if code in _OFF:
        return pen._replace(flags="".join(f for f in pen.flags if f not in _OFF[code]))
    if code in _INKS:
        return pen._replace(ink=_INKS[code])
    return pen._replace(paper=_INKS[code - 10]) if code - 10 in _INKS else pen


def _extended(codes: list[int]) -> tuple[int | None, int]:
    """Return the colour after a 38 or 48, and how many parameters it took."""
    if codes[:1] == [5] and len(codes) >= 2:
        return _from_256(codes[1]), 2
    if codes[:1] == [2] and len(codes) >= 4:
        return _nearest((codes[1], codes[2], codes[3])), 4
    return None, len(codes)


def _from_256(number: int) -> int | None:
    if number < 16:
        return number
    if number < 232:
        cube = number - 16
        return _nearest((_LEVELS[cube // 36], _LEVELS[cube // 6 % 6], _LEVELS[cube % 6]))
    if number < 256:
        grey = 8 + 10 * (number - 232)
        return _nearest((grey, grey, grey))
    return None


def _nearest(colour: tuple[int, int, int]) -> int:
    def distance(index: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, _PALETTE[index], strict=True))

    return min(range(16), key=distance)
