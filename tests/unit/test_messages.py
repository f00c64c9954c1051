"""What a script may tell about itself, and that everything else is only output."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.messages import LINE_BYTES_MAX, NAMES_MAX, NOTICES_MAX, MessageReader
from croncord.model import Messages


def told(*pieces: bytes, stream=1) -> Messages:
    reader = MessageReader()
    for piece in pieces:
        reader.feed(stream, piece)
    return reader.end()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"::progress 40\n", Messages(progress=40)),
        (b"::progress 12.5%\r\n", Messages(progress=12.5)),
        (b"::progress 10\n::progress 90", Messages(progress=90)),
        (b"::metric rows=1200\n", Messages(metrics={"rows": 1200})),
        (b"::metric rows=1\n::metric rows=2\n", Messages(metrics={"rows": 2})),
        (b"::notice two  words\x1b[0m\n", Messages(notices=("two  words [0m",))),
        (b"::output file=/srv/a=b\n", Messages(outputs={"file": "/srv/a=b"})),
        (b"::output empty=\n", Messages(outputs={"empty": ""})),
        ("::notice grüß\n".encode(), Messages(notices=("grüß",))),
        (b"::notice \xff\n", Messages(notices=("\ufffd",))),
    ],
)
def test_a_message_is_understood(text, expected):
    assert told(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"::\n",
        b"::progress\n",
        b"::progress 101\n",
        b"::progress nan\n",
        b"::progress -1\n",
        b"::metric rows\n",
        b"::metric rows=many\n",
        b"::metric =1\n",
        b"::metric rows=inf\n",
        b"::notice\n",
        b"::notice  \n",
        b"::output x\n",
        b"::output a b=c\n",
        b"::output 1x=c\n",
        b"::output x=a\0b\n",
        b"::error file=x::y\n",
        b"::Progress 4\n",
        b" ::progress 4\n",
        b"x::progress 4\n",
        b":progress 4\n",
        b"::notice " + b"x" * LINE_BYTES_MAX + b"\n",
        b"::output x=" + b"y" * 1025 + b"\n",
    ],
)
def test_anything_else_is_only_output(text):
    assert told(text) == Messages()


def test_two_streams_do_not_mix():
    reader = MessageReader()
    reader.feed(1, b"::prog")
    reader.feed(2, b"::notice from stderr\n")
    reader.feed(1, b"ress 7\n")
    assert reader.end() == Messages(progress=7, notices=("from stderr",))


def test_a_run_cannot_make_its_row_large():
    lines = b"".join(
        b"::metric m%d=1\n::output o%d=x\n::notice n%d\n" % (n, n, n) for n in range(500)
    )
    found = told(lines)
    assert (len(found.metrics), len(found.outputs)) == (NAMES_MAX, NAMES_MAX)
    assert found.notices == tuple(f"n{n}" for n in range(500 - NOTICES_MAX, 500))
    assert told(lines + b"::metric m0=2\n").metrics["m0"] == 2, "known names still change"


def test_a_line_without_end_costs_no_memory():
    reader = MessageReader()
    for _ in range(100):
        reader.feed(1, b"::notice " + b"x" * 60_000)
    assert all(not begun or len(begun) <= LINE_BYTES_MAX for begun in reader._begun.values())
    reader.feed(1, b"\n::progress 3\n")
    assert reader.end() == Messages(progress=3)


LINES = st.lists(
    st.sampled_from(
        [b"::progress 5", b"::progress 6", b"::notice a", b"x", b":", b"::", b"", b"a::notice b"]
    ),
    max_size=12,
)


@given(lines=LINES, cuts=st.lists(st.integers(0, 150), max_size=8))
def test_it_does_not_matter_how_the_output_is_cut_into_pieces(lines, cuts):
    text = b"\n".join(lines)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    expected = Messages()
    for line in lines:
        if line.startswith(b"::p"):
            expected = Messages(progress=float(line[-1:]), notices=expected.notices)
        elif line == b"::notice a":
            expected = Messages(progress=expected.progress, notices=(*expected.notices, "a"))
    assert told(*pieces) == expected
