r"""The command of a crontab entry: percent signs, and the script that does the same.

The rules are those of Debian's cron (do_command.c), stated in crontab(5): an unescaped `%` ends
the command, what follows is its standard input with each further `%` a line end, and a line end
is added if the last is missing. `\%` is a percent sign; in the command, though not in its input,
`\\` is one backslash.
"""

import re

HERE_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})
"""Shells in which `exec <<'WORD'` gives a script its standard input, byte for byte."""


def split_percent(text: str) -> tuple[str, str | None]:
    """Return the command and its standard input; None when there is no `%` that ends it."""
    command: list[str] = []
    i = 0
    while i < len(text):
        if text[i] == "\\" and text[i + 1 : i + 2] in {"%", "\\"}:
            command.append(text[i + 1])
            i += 2
        elif text[i] == "\\":
            command.append(text[i : i + 2])
            i += 2
        elif text[i] == "%":
            return "".join(command), _input(text[i + 1 :])
        else:
            command.append(text[i])
            i += 1
    return "".join(command), None


def _input(text: str) -> str:
    lines = re.sub(r"(\\?)%", lambda m: "%" if m[1] else "\n", text)
    unfinished = lines.rstrip("\\")  # whether a line end is missing, cron asks of what is before
    return lines if unfinished == "" or unfinished.endswith("\n") else lines + "\n"


def script(command: str, stdin: str, shell: str) -> str:
    """Return the script that does what `shell -c command` does with `stdin` to read."""
    lines = [f"#!{shell}"]
    if stdin:
        word = "CRONTAB_INPUT"
        while word in stdin.split("\n"):
            word += "_"
        lines.append(f"exec <<'{word}'\n{stdin}{word}")
    lines.append(command)
    return "\n".join(lines) + "\n"


def cannot_script(command: str, stdin: str | None, shell: str) -> str:
    """Return why a script could not do what the line does; empty if it can."""
    if len(command) - len(command.rstrip("\\")) & 1:
        return "the command ends with a backslash, which in a script would join the next line"
    if stdin and not stdin.endswith("\n"):
        return "the standard input after % would not end with a line end"
    if stdin and shell.rsplit("/", 1)[-1] not in HERE_SHELLS:
        return f"{shell} cannot be given the text after % as standard input"
    return ""
