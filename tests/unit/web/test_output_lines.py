import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.ports import LogChunk
from croncord.web.pages.lines import HELD_CHUNKS_MAX, LINE_BYTES_MAX, Line, OutputLines

HEADER = 8


def frames(parts):
    """Lay out (stream, data) as the store's frames do."""
    offset, laid = 0, []
    for stream, data in parts:
        end = offset + HEADER + len(data)
        laid.append((stream, data, offset, end))
        offset = end
    return laid


def chunks(laid, start, rng):
    """Read from an offset, with neighbours of one stream grouped as it happens."""
    group = None
    for stream, data, offset, end in laid:
        if offset < start:
            continue
        if group and group[0] == stream and rng.random() < 0.7:
            group = (stream, group[1] + data, group[2], end)
        else:
            if group:
                yield LogChunk(*group, 0)
            group = (stream, data, offset, end)
    if group:
        yield LogChunk(*group, 0)


def drain(reader, chunk, size=500):
    reader.feed(chunk)
    lines = []
    while taken := reader.take(size):
        lines += taken
    return [bare(line) for line in lines]


def bare(line):
    """Return the line's HTML without its number."""
    return line._replace(number=0).html()


def rest(reader):
    return [line.html() for line in reader.unfinished()]


def of_stream(lines, stream):
    marks = {"stderr": 'class="e"', "system": 'class="y"'}
    mark = marks.get(stream)
    return [line for line in lines if (mark in line if mark else "<span" not in line)]


parts = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr", "system"]), st.text("ab\n", min_size=1, max_size=9)
    ),
    min_size=1,
    max_size=20,
)


@given(parts, st.integers(0, 2**32))
def test_a_reader_that_breaks_off_anywhere_and_goes_on_loses_and_repeats_nothing(parts, seed):
    rng = random.Random(seed)
    laid = frames([(stream, data.encode()) for stream, data in parts])
    whole = []
    reader = OutputLines()
    for frame in laid:
        whole += drain(reader, LogChunk(*frame, 0))

    got, place, breaks = [], "0", 0
    while True:
        reader, broken = OutputLines(place), False
        for chunk in chunks(laid, reader.offset, rng):
            reader.feed(chunk)
            while taken := reader.take(2):
                got += [bare(line) for line in taken]
                if breaks < 20 and rng.random() < 0.2:
                    broken = True
                    break
            if broken or (breaks < 20 and rng.random() < 0.2):
                broken = True
                break
        if not broken:
            break
        breaks, place = breaks + 1, reader.place
    for stream in ("stdout", "stderr", "system"):
        assert of_stream(got, stream) == of_stream(whole, stream)


def test_streams_are_told_apart_and_escaped():
    reader = OutputLines()
    assert drain(reader, LogChunk("stdout", b"a<b\n", 0, 12, 0)) == ["a&lt;b\n"]
    assert drain(reader, LogChunk("stderr", b"oh\n", 12, 23, 0)) == ['<span class="e">oh\n</span>']
    assert drain(reader, LogChunk("system", b"[cut]\n", 23, 37, 0)) == [
        '<span class="y">[cut]\n</span>'
    ]
    assert reader.place == "37-n3"


def test_an_unfinished_line_is_shown_and_then_finished():
    reader = OutputLines()
    assert drain(reader, LogChunk("stdout", b"Proceed? ", 0, 17, 0)) == []
    assert rest(reader) == ["Proceed? \n"]
    assert reader.offset == 0
    assert drain(reader, LogChunk("stdout", b"yes\n", 17, 29, 0)) == ["Proceed? yes\n"]
    assert rest(reader) == []


def test_a_line_without_end_is_cut_so_that_it_cannot_fill_the_memory():
    reader = OutputLines()
    lines = drain(reader, LogChunk("stdout", b"x" * (3 * LINE_BYTES_MAX + 5), 0, 99_999, 0))
    assert [len(line) for line in lines] == [LINE_BYTES_MAX + 1] * 3
    assert rest(reader) == ["xxxxx\n"]


def test_a_prompt_that_stays_open_does_not_hold_back_the_other_stream_for_ever():
    reader = OutputLines()
    drain(reader, LogChunk("stderr", b"waiting", 0, 15, 0))
    offset, lines = 15, []
    for _ in range(HELD_CHUNKS_MAX + 1):
        lines += drain(reader, LogChunk("stdout", b"x\n", offset, offset + 10, 0))
        offset += 10
    assert '<span class="e">waiting\n</span>' in lines
    assert reader.offset == offset


@pytest.mark.parametrize("place", ["", "x", "-1", "5;drop", "12-z4", "9" * 40])
def test_a_place_that_nobody_gave_means_the_beginning(place):
    assert OutputLines(place).offset == 0


def test_the_numbers_of_lines_go_on_at_a_place_and_are_not_guessed_in_the_middle():
    reader = OutputLines()
    reader.feed(LogChunk("stdout", b"one\ntwo\nthree\n", 0, 22, 0))
    assert [line.number for line in reader.take(2)] == [1, 2]
    again = OutputLines(reader.place)
    again.feed(LogChunk("stdout", b"one\ntwo\nthree\n", 0, 22, 0))
    assert [(line.number, line.text) for line in again.take(9)] == [(3, "three")]
    middle = OutputLines("22")
    middle.feed(LogChunk("stdout", b"four\n", 22, 35, 0))
    (line,) = middle.take(9)
    assert (line.number, line.html()) == (0, "four\n")


@pytest.mark.parametrize(
    ("text", "progress"),
    [
        ("::progress 40", 40),
        ("::progress 99.5%", 99),
        ("40%", 40),
        ("  7 % ", 7),
        ("\x1b[32m55%\x1b[0m", 55),
        ("10%\r20%\r30%", 30),
        ("250%", 100),
        ("40% of the disk", None),
        ("progress 40", None),
        ("::progress", None),
        ("%", None),
        ("٤٠%", None),
    ],
)
def test_a_line_that_is_only_a_percentage_is_progress(text, progress):
    assert Line(1, "stdout", text.encode()).progress == progress
