import io
import os
import sys

from hypothesis import given
from hypothesis import strategies as st

from croncord.cli import output, words
from croncord.cli.output import Column, say_table
from croncord.cli.progress import Steps
from croncord.cli.sse import Event, read_events

COLUMNS = [
    Column("NAME", lambda r: r["name"]),
    Column("SIZE", lambda r: r["size"], align="right"),
    Column("NOTE", lambda r: r["note"], colour=output.state_colour),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def become_terminal(monkeypatch):
    """Let standard output be a terminal of 40 columns."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def row(name="a", size="1", note="x"):
    return {"name": name, "size": size, "note": note}


def test_columns_are_aligned_and_nothing_is_cut_or_coloured_in_a_pipe(capsys):
    say_table(COLUMNS, [row("a" * 100, "5", "failed"), row("日本", "1234")], "")
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "NAME" + " " * 98 + "SIZE  NOTE"
    assert first == "a" * 100 + "     5  failed"
    assert second == "日本" + " " * 98 + "1234  x"


def test_on_a_terminal_the_widest_column_is_cut_until_a_row_fits(monkeypatch):
    terminal = become_terminal(monkeypatch)
    say_table(COLUMNS, [row("a" * 100, "5", "n" * 20)], "")
    for line in terminal.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines():
        assert words.width(line) <= 40
    assert "a…  " in terminal.getvalue()


def test_colour_is_for_terminals_whose_user_wants_it(monkeypatch):
    terminal = become_terminal(monkeypatch)
    say_table(COLUMNS, [row(note="failed")], "")
    assert "\x1b[31mfailed\x1b[0m" in terminal.getvalue()
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        terminal.truncate(0)
        with monkeypatch.context() as patch:
            patch.setitem(os.environ, name, value)
            say_table(COLUMNS, [row(note="failed")], "")
        assert "\x1b" not in terminal.getvalue()


def test_an_empty_table_says_so_beside_the_data(capsys):
    say_table(COLUMNS, [], "Nothing here.")
    assert capsys.readouterr() == ("", "Nothing here.\n")


def test_progress_is_one_line_on_a_terminal_that_is_gone_in_the_end(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Steps("applying", 2) as progress:
        progress.step("a\x1b[31m")
        progress.step("b")
    assert "applying 1/2: a\\x1b[31m" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
    assert "\n" not in stream.getvalue()


def test_progress_is_silent_elsewhere(capsys):
    with Steps("applying", 1) as progress:
        progress.step("a")
    assert capsys.readouterr() == ("", "")


async def in_pieces(data, size):
    for start in range(0, len(data), size):
        yield data[start : start + size]


STREAM = (
    b": ping\n\n"
    b'event: output\nid: 15\ndata: {"text":"a"}\n\n'
    b": ping\n\n"
    b"data: two\ndata: lines\n\n"
    b"event: end\nid: 20\ndata:x\n\n"
    b"data: never finished"
)


@given(st.integers(1, len(STREAM)))
async def test_events_are_read_however_the_bytes_are_cut(size):
    assert [event async for event in read_events(in_pieces(STREAM, size))] == [
        Event("output", '{"text":"a"}', "15"),
        Event("message", "two\nlines", ""),
        Event("end", "x", "20"),
    ]
