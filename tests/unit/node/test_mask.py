"""Secrets are taken out of output whatever pieces it comes in."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from croncord.node.mask import STARS, Mask


def masked(values, *pieces):
    mask = Mask(values)
    return b"".join([mask.feed(piece) for piece in pieces] + [mask.end()])


@pytest.mark.parametrize(
    ("values", "pieces", "out"),
    [
        (["hunter2"], [b"pass hunter2!\n"], b"pass ***!\n"),
        (["hunter2"], [b"pass hun", b"ter2!\n"], b"pass ***!\n"),
        (["hunter2"], [b"h", b"u", b"n", b"t", b"e", b"r", b"2"], b"***"),
        (["hunter2"], [b"hunter", b" and hunt", b"ing"], b"hunter and hunting"),
        (["hunter2"], [b"hunterhunter2"], b"hunter***"),
        (["hunter2"], [b"hunter2hunter2"], b"******"),
        (["abab"], [b"xababab"], b"x***ab"),
        (["abcd", "abcdef"], [b"abcd", b"ef"], b"***"),
        (["abcd", "abcdef"], [b"abcd", b"eg"], b"***eg"),
        (["abcd", "abcdef"], [b"abcd"], b"***"),
        (["xabc", "bcQQQ"], [b"xabc", b"QQQ"], b"***QQQ"),
        (["pä\udcff55"], ["pä".encode() + b"\xff55"], b"***"),
        ([], [b"hunter2"], b"hunter2"),
        (["a.c*"], [b"abcc a.c*"], b"abcc ***"),
        (["]^-\\"], [b"x]^-\\x"], b"x***x"),
    ],
)
def test_what_comes_out(values, pieces, out):
    assert masked(values, *pieces) == out


def test_lines_of_a_key_are_masked_however_it_is_printed():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0B\n-----END KEY-----\n"
    out = masked([key], b"  -----BEGIN KEY-----\r\n  MIIEvQIBADANBg\r\n  kqhkiG9w0B\r\n")
    assert b"MII" not in out
    assert b"kqh" not in out
    assert masked([key], key.encode()) == STARS


def test_only_what_may_become_a_secret_is_held_back():
    mask = Mask(["hunter2"])
    assert mask.feed(b"Name? ") == b"Name? "
    assert mask.feed(b"hun") == b""
    assert mask.feed(b"gry\n") == b"hungry\n"


LETTERS = st.text("ab", min_size=4, max_size=7)


@given(
    values=st.lists(LETTERS, min_size=1, max_size=3),
    text=st.text("abc", max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
@example(values=["abab", "baab"], text="ababaab", cuts=[4])
def test_pieces_make_no_difference_and_no_secret_is_left(values, text, cuts):
    data = text.encode()
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(ends)]
    whole = masked(values, data)
    assert masked(values, *pieces) == whole
    assert not any(value.encode() in whole for value in values)


def test_a_long_secret_costs_no_time_on_long_output():
    secret = "a" * 30_000 + "b"
    mask = Mask([secret])
    out = b"".join([mask.feed(b"x" * 65_000) for _ in range(50)] + [mask.end()])
    assert len(out) == 50 * 65_000
    assert masked([secret], b"a" * 10_000, secret.encode()) == b"a" * 10_000 + STARS
