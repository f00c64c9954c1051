"""Lines are found in this node's outputs, and an expression that never ends is ended."""

import re

from hypothesis import given
from hypothesis import strategies as st
from log_material import a_key, end, err, numbered, out, store_at, write

from croncord.frames import STDOUT, encode_frame
from croncord.logs import search
from croncord.logs.regex_worker import matching_lines
from croncord.logs.search import lines_with
from croncord.ports import SearchOrder

KEY = a_key()
OTHER = a_key("other")


def order(pattern, *, keys=(KEY,), regex=False, stream="", limit=100, after=-1):
    return SearchOrder(tuple(keys), pattern, regex, stream, limit, after)


async def found(store, wanted):
    return [(hit.offset, hit.line, hit.text) for hit in (await store.search(wanted)).hits]


async def test_a_line_is_found_with_its_number_and_offset_live_and_sealed(tmp_path):
    text = out("one\ntwo\n") + err("two again\n") + out("no end: two")
    async with store_at(tmp_path) as store:
        await write(store, KEY, text, seal=False)
        expected = [(4, 2, "two"), (8, 3, "two again"), (18, 4, "no end: two")]
        for regex in (False, True):
            assert await found(store, order("two", regex=regex)) == expected
        await store.close(KEY)
        assert await found(store, order("two")) == expected
        assert await found(store, order("two", stream="stderr")) == [(0, 1, "two again")]
        assert await found(store, order("^two$", regex=True)) == [(4, 2, "two")]
        assert await found(store, order("two", limit=2)) == expected[:2]
        assert await found(store, order("two", after=4)) == expected[1:]


async def test_a_line_that_comes_in_pieces_is_one_line(tmp_path):
    pieces = b"".join(encode_frame(STDOUT, bytes([byte]), 0) for byte in b"needle in hay\nno\n")
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(9000), pieces, numbered(9000), end())
        ((_, line, text),) = await found(store, order("needle in"))
        assert (line, text) == (9001, "needle in hay")


async def test_a_hit_brings_the_two_lines_before_and_after_it_wherever_pieces_end(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(20_000), end())
        hits = (await store.search(order(r"( 0|[37]|9999)$", regex=True, limit=5000))).hits
        assert len(hits) == 4003
        for hit in hits:
            shown = [int(text.split()[-1]) for text in (*hit.before, hit.text, *hit.after)]
            around = range(hit.line - 3, hit.line + 2)
            assert shown == [number for number in around if 0 <= number < 20_000]


async def test_every_line_of_a_long_output_counts(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, numbered(20000), end())
        hits = await found(store, order(r" 1\d*00$", regex=True, limit=1000))
        lines = [n for n in range(20000) if re.fullmatch(r"1\d*00", str(n))]
        assert [line - 1 for _, line, _ in hits] == lines


async def test_what_is_not_here_is_said_and_the_rest_is_searched(tmp_path):
    async with store_at(tmp_path) as store:
        await write(store, KEY, out("x\n"))
        answer = await store.search(order("x", keys=[OTHER, KEY]))
        assert (answer.absent, answer.searched, len(answer.hits)) == ((OTHER,), 2, 1)


async def test_an_expression_that_takes_for_ever_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "PATIENCE_SECONDS", 0.3)
    async with store_at(tmp_path) as store:
        await write(store, KEY, out("a" * 60 + "!\n"))
        answer = await store.search(order("(a+)+$", regex=True))
        assert "takes too long" in answer.problem
        assert answer.hits == ()


async def test_a_line_without_an_end_is_searched_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "LINE_BYTES_MAX", 1000)
    async with store_at(tmp_path) as store:
        await write(store, KEY, *[out("x" * 50_000) for _ in range(10)], out("needle"), end())
        assert len(await found(store, order("needle"))) == 1


words = st.lists(st.sampled_from([b"a", b"b", b"ab", b"\n", b"\n\n", b" "])).map(b"".join)


@given(text=words, pattern=st.sampled_from([b"a", b"^b", b"b$", rb"a\s+b", b"a*", b"(ab)+", b"^$"]))
def test_an_expression_matches_the_lines_that_it_matches_one_by_one(text, pattern):
    compiled = re.compile(pattern, re.MULTILINE)
    expected, at = [], 0
    lines = text.split(b"\n")
    for line in lines[:-1] if text.endswith(b"\n") else lines:
        if compiled.search(line) and at < len(text):
            expected.append(at)
        at += len(line) + 1
    assert matching_lines(compiled, text) == expected


@given(text=words, wanted=st.sampled_from([b"a", b"ab", b"b a"]))
def test_text_is_found_in_the_lines_that_hold_it(text, wanted):
    expected, at = [], 0
    for line in text.split(b"\n"):
        if wanted in line:
            expected.append(at)
        at += len(line) + 1
    assert lines_with(wanted, text) == expected
