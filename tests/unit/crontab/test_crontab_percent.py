"""Percent signs: the end of a command, and the bytes on its standard input."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croncord.crontab import Entry, read_crontab
from croncord.crontab.command import script, split_percent


def only(text, *, system=False):
    [line] = read_crontab(text, system=system)
    return line


@pytest.mark.parametrize(
    ("rest", "command", "stdin"),
    [
        ("cat%one%two", "cat", "one\ntwo\n"),
        ("cat%one%two%", "cat", "one\ntwo\n"),
        ("cat%", "cat", ""),
        ("cat%%", "cat", "\n"),
        ("cat %100\\%%end", "cat ", "100%\nend\n"),
        ("cat%back\\slash and \\\\ two", "cat", "back\\slash and \\\\ two\n"),
        ("cat%\\\\%", "cat", "\\%\n"),
        ("echo \\%d%x", "echo %d", "x\n"),
    ],
)
def test_what_follows_a_percent_sign_is_standard_input(rest, command, stdin):
    entry = only(f"0 5 * * 1 {rest}\n")
    assert (entry.command, entry.stdin) == (command, stdin)


def percent_as_in_c(text):
    """Debian's do_command.c told again: one loop for the command, one for its input."""
    command, i, escaped = [], 0, False
    while i < len(text):
        ch = text[i]
        i += 1
        if escaped:
            if ch in "%\\":
                command[-1] = ch
            else:
                command.append(ch)
            escaped = False
            continue
        if ch == "%":
            break
        command.append(ch)
        escaped = ch == "\\"
    else:
        return "".join(command), None
    out, escaped, need_newline = [], False, False
    for ch in text[i:]:
        out_ch = ch
        if escaped:
            if ch != "%":
                out.append("\\")
        elif ch == "%":
            out_ch = "\n"
        escaped = ch == "\\"
        if not escaped:
            out.append(out_ch)
            need_newline = out_ch != "\n"
    out += ["\\"] * escaped + ["\n"] * need_newline
    return "".join(command), "".join(out)


@given(st.text(alphabet="a%\\ ", max_size=14))
def test_percent_signs_and_backslashes_are_taken_as_debians_cron_takes_them(text):
    assert split_percent(text) == percent_as_in_c(text)


def test_a_script_reads_the_standard_input_byte_for_byte(tmp_path):
    stdin = "CRONTAB_INPUT\n $HOME `id` \\ \\n 'q' \"d\" é\n\nCRONTAB_INPUT_\nend\n"
    file = tmp_path / "job"
    file.write_text(script("cat; echo done # not the end", stdin, "/bin/sh"), "utf-8")
    file.chmod(0o700)
    told = subprocess.run([file], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert told.stdout.decode() == stdin + "done\n"


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet="ab $`'\"\\!%\n", max_size=20).map(lambda s: s + "\n"))
def test_any_standard_input_arrives_as_it_was(stdin):
    told = subprocess.run(
        ["/bin/sh", "-c", script("cat", stdin, "/bin/sh")],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert told.stdout.decode() == stdin


def test_standard_input_for_a_shell_without_here_documents_is_refused():
    _, entry = read_crontab("SHELL=/usr/bin/python3\n* * * * * print(1)%x\n", system=False)
    assert entry.reason == "/usr/bin/python3 cannot be given the text after % as standard input"
    _, entry = read_crontab("SHELL=/usr/bin/python3\n* * * * * print(1)\n", system=False)
    assert isinstance(entry, Entry)
