"""Blocks in pieces read as they were written, beside each other and beside undivided ones."""

from hypothesis import given, settings
from hypothesis import strategies as st
from log_material import a_key

from croncord.logs.block_table import (
    PAGE_BYTES,
    PIECE_BYTES,
    after_block,
    block_below,
    blocks_from,
    put_block,
)
from croncord.logs.days import BLOCKS
from croncord.logs.keys import block_key, pack
from croncord.logs.store import Store

ONE, TWO = sorted([pack(a_key("one")), pack(a_key("two"))])
SIZES = [1, PIECE_BYTES, PIECE_BYTES + 1, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, 300_000]


def filled(path, sizes=SIZES):
    store = Store(path, [BLOCKS])
    blocks = []
    with store.write() as writing:
        for output in (ONE, TWO):
            at = 0
            for number, size in enumerate(sizes):
                value = bytes([number]) * size
                blocks.append((block_key(output, at), value))
                put_block(writing, *blocks[-1])
                at += size
    return store, blocks


def test_every_block_is_found_from_above_from_below_and_in_order(tmp_path):
    store, blocks = filled(tmp_path / "blocks")
    with store.read() as reading:
        assert list(blocks_from(reading, b"")) == blocks
        for number, (key, value) in enumerate(blocks):
            assert block_below(reading, key + b"\0") == (key, value)
            assert block_below(reading, after_block(key)) == (key, value)
            following = blocks[number + 1] if number + 1 < len(blocks) else None
            assert next(blocks_from(reading, after_block(key)), None) == following
            before = blocks[number - 1] if number else None
            assert block_below(reading, key) == before
    store.close()


def test_a_block_that_is_written_again_leaves_nothing_of_the_earlier_one(tmp_path):
    store, blocks = filled(tmp_path / "blocks", [100_000, 9000])
    with store.write() as writing:
        put_block(writing, blocks[0][0], b"short")
        assert list(blocks_from(writing, b"")) == [(blocks[0][0], b"short"), *blocks[1:]]
    store.close()


def test_undivided_blocks_of_an_earlier_version_are_read_beside_the_others(tmp_path):
    store, blocks = filled(tmp_path / "blocks", [9000, 9000])
    old = (block_key(ONE, 18_000), b"o" * 50_000)
    with store.write() as writing:
        writing.put(BLOCKS, *old)
        expected = [*blocks[:2], old, *blocks[2:]]
        assert list(blocks_from(writing, b"")) == expected
        assert block_below(writing, TWO) == old
    store.close()


@given(sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_any_sizes(tmp_path_factory, sizes):
    store, blocks = filled(tmp_path_factory.mktemp("blocks") / "b", sizes)
    with store.read() as reading:
        assert list(blocks_from(reading, b"")) == blocks
    store.close()
