"""What can be said of a script by reading it: its interpreter, its line ends, likely mistakes."""

import re
from typing import Literal, NamedTuple

from croncord.validation import tidy_script

Language = Literal["bash", "sh", "python", ""]

_LANGUAGES: dict[str, Language] = {"bash": "bash", "sh": "sh", "dash": "sh"}
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_BOM = "\ufeff"


class ScriptFacts(NamedTuple):
    """How a script will be run, and what looks wrong. Findings never forbid saving it."""

    interpreter: str
    language: Language
    """Which syntax check fits; empty when checking would mean running it."""
    lines: int
    line_ends: Literal["lf", "crlf", "mixed"]
    findings: list[tuple[int, str]]
    """Line numbers from 1, and a sentence."""


def script_facts(text: str) -> ScriptFacts:
    """Read a script as it was sent, before it is tidied."""
    crlf, lf = text.count("\r\n"), text.count("\n")
    line_ends: Literal["lf", "crlf", "mixed"] = (
        "lf" if not crlf else "crlf" if crlf == lf else "mixed"
    )
    tidy = tidy_script(text)
    findings: list[tuple[int, str]] = []
    if text.startswith(_BOM):
        findings.append((1, "the byte order mark at the beginning is removed"))
    if line_ends == "crlf":
        findings.append((1, "line ends of Windows (CR LF) are turned into LF"))
    first = tidy.partition("\n")[0]
    interpreter = "/bin/bash"
    language: Language = "bash"
    if first.startswith("#!"):
        interpreter = first[2:].strip(" \t")
        language = _language(interpreter)
        findings += [(1, finding) for finding in _shebang_findings(first)]
    elif re.match(r"\s+#!", tidy):
        where = tidy[: tidy.index("#!")].count("\n") + 1
        message = "a `#!` line counts only at the very beginning; this runs with /bin/bash"
        findings.append((where, message))
    if line_ends == "mixed" and not first.endswith("\r"):
        where = tidy.count("\n", 0, tidy.index("\r\n")) + 1
        findings.append((where, "some lines end in CR LF, others in LF; they are left as they are"))
    lines = tidy.count("\n") + (not tidy.endswith("\n") and tidy != "")
    return ScriptFacts(interpreter, language, lines, line_ends, findings)


def _language(interpreter: str) -> Language:
    words = interpreter.split()
    if words and words[0].rpartition("/")[2] == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    program = words[0].rpartition("/")[2] if words else ""
    return "python" if _PYTHON.fullmatch(program) else _LANGUAGES.get(program, "")


def _shebang_findings(line: str) -> list[str]:
    interpreter = line[2:].strip(" \t")
    if not interpreter.strip():
        return ["the `#!` line names no interpreter"]
    if interpreter.endswith("\r"):
        return ["the `#!` line ends in CR LF; all line ends become LF when it runs"]
    if not interpreter.startswith("/"):
        return ["the interpreter of a `#!` line must be an absolute path"]
    words = interpreter.split()
    if words[0].endswith("/env") and len(words) > 2 and not words[1].startswith("-"):
        return ["Linux passes all after `env` as one word: write `env -S`"]
    return []
