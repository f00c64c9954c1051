"""What a run's row shows of its output."""

import pytest

from croncord.frames import END, STDERR, STDOUT, SYSTEM, Frame, decode_frames, encode_gap
from croncord.node.excerpt import CHARACTERS, LINES, Excerpt


def excerpt_of(*frames):
    excerpt = Excerpt()
    for frame in frames:
        excerpt.feed([frame])
    return excerpt.text()


def out(payload, stream=STDOUT):
    return Frame(stream, 0, 0, payload)


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        ([], ""),
        ([out(b"one\n"), out(b"two\n", STDERR), Frame(END, 0, 0, b"{}")], "one\ntwo"),
        ([out(b"no line"), out(b" end")], "no line end"),
        ([out(b"line %d\n" % n) for n in range(99)], "\n".join(f"line {n}" for n in range(89, 99))),
        ([out(b"a\n"), *decode_frames(encode_gap(7, 0))[0], out(b"b\n")],
         "a\n[7 bytes of output are left out here]\nb"),
        ([out(b"killed: no room\n", SYSTEM)], "killed: no room"),
        ([out(b"\xff\xfe\n")], "\ufffd\ufffd"),
        ([out("é".encode()[:1]), out("é".encode()[1:])], "é"),
    ],
)  # fmt: skip
def test_it_is_the_last_lines_of_all_that_a_reader_sees(frames, shown):
    assert excerpt_of(*frames) == shown


def test_however_much_is_printed_it_stays_short_and_no_character_is_cut():
    text = excerpt_of(*[out("€".encode() * 20_000) for _ in range(50)])
    assert text == "€" * CHARACTERS
    assert len(excerpt_of(out(b"\n" * 5000 + b"end\n")).splitlines()) == LINES
