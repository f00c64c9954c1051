"""The end of an output in memory, as transcripts: what is fed, what is held, what is said."""

import pytest
from log_material import end, numbered, out

from croncord.errors import Conflict, Invalid
from croncord.frames import STDOUT, SYSTEM, decode_frames, encode_frame, encode_gap
from croncord.logs.blocks import BLOCK_BYTES
from croncord.logs.chunks import CHUNK_BYTES, Position, cut_blocks
from croncord.logs.keys import LogRow
from croncord.logs.live import LiveLog
from croncord.logs.tally import Tally


@pytest.fixture
async def log():
    return LiveLog(b"k" * 17, LogRow(started_ms=0, journal_from=0), Position(), Tally())


WHY = "the disk is full"


def remark():
    return encode_frame(SYSTEM, b"output is dropped here: the disk is full", 0)


A, B, C = out("a\n"), out("bb\n"), out("ccc\n")


@pytest.mark.parametrize(
    ("fed", "held"),
    [
        ([(0, A), (len(A), B)], A + B),
        ([(0, A), (0, A), (0, A)], A),
        ([(0, A), (0, A + B)], A + B),
        ([(0, A + B), (0, A), (len(A), B + C)], A + B + C),
        ([(0, A[:3]), (3, A[3:])], A),
        ([(0, A + B[:5]), (len(A), B), (len(A) + 2, B[2:] + C)], A + B + C),
        ([(0, A + B[:5]), (0, A + B[:5]), (len(A) + 5, B[5:])], A + B),
        ([(0, b"")], b""),
    ],
    ids=["in order", "repeated", "grown", "overlap", "split", "split again", "split twice", "none"],
)
async def test_what_is_fed_again_is_held_once(log, fed, held):
    for source, data in fed:
        log.feed(source, data)
    assert log.read(0, 10**9) == held
    assert log.end == len(held)


async def test_the_beginning_of_a_frame_is_not_readable_but_need_not_be_fed_again(log):
    log.feed(0, A + B[:4])
    assert log.read(0, 100) == A
    assert log.taken == len(A) + 4
    log.feed(log.taken, B[4:])
    assert log.read(0, 100) == A + B


async def test_a_hole_is_refused_with_the_place_to_go_on(log):
    log.feed(0, A)
    with pytest.raises(Conflict, match="missing") as refused:
        log.feed(len(A) + 1, B)
    assert str(len(A)) in refused.value.hint


async def test_a_sealed_output_ignores_what_it_has_and_refuses_more(log):
    log.feed(0, A)
    log.finish()
    assert log.feed(0, A) == 0
    with pytest.raises(Conflict, match="sealed"):
        log.feed(0, A + B)


async def test_what_was_dropped_is_counted_and_its_place_is_marked(log):
    log.feed(0, A)
    log.feed(len(A), B + C, drop=WHY)
    log.feed(len(A + B + C), end(9), drop=WHY)
    log.finish()
    assert log.read(0, 1000) == A + remark() + encode_gap(7, 9) + end(9)
    assert log.tally.final().truncated_bytes == 7
    assert log.tally.final().complete
    assert log.source_end == len(A + B + C + end(9))


async def test_the_feeder_goes_on_in_its_own_count_after_a_drop(log):
    log.feed(0, A)
    log.feed(len(A), B, drop=WHY)
    assert log.taken == len(A + B)
    log.feed(len(A + B), C)
    assert log.read(0, 1000) == A + remark() + encode_gap(3, 0) + C


async def test_what_was_dropped_last_is_marked_when_it_is_sealed(log):
    log.feed(0, A)
    log.feed(len(A), B, drop=WHY)
    log.finish()
    assert log.read(0, 1000) == A + remark() + encode_gap(3, 0)


async def test_a_reader_may_begin_at_any_frame_and_nowhere_else(log):
    data = numbered(3000)
    log.feed(0, data)
    log.hand_over()
    starts = {0}
    for frame in decode_frames(data)[0]:
        starts.add(max(starts) + frame.size)
    for offset in [*range(200), *range(len(data) - 200, len(data))]:
        if offset in starts:
            assert log.read(offset, 10**9) == data[offset:]
        else:
            with pytest.raises(Invalid):
                log.read(offset, 10)


async def test_a_reader_gets_no_more_than_about_what_it_asked_for(log):
    data = b"".join(out(b"x" * 1000) for _ in range(500))
    log.feed(0, data)
    assert 1 <= len(log.read(0, 100_000)) <= 100_000 + CHUNK_BYTES + 1008


async def test_small_pieces_are_joined_once_the_writer_has_them(log):
    for n in range(100):
        log.feed(log.taken, out(f"{n}\n"))
    before = log.read(0, 10**6)
    assert len(log.tail) == 100
    assert b"".join(chunk.data for chunk in log.hand_over()) == before
    assert len(log.tail) == 1
    assert log.hand_over() == []
    assert log.read(0, 10**6) == before


async def test_blocks_hold_whole_frames_and_counters_that_add_up(log):
    data = numbered(9000, width=60)
    log.feed(0, data)
    log.feed(len(data), encode_frame(STDOUT, b"z" * 65535, 0))
    whole = data + encode_frame(STDOUT, b"z" * 65535, 0)
    cut, at = cut_blocks(log.tail, Position(), everything=False)
    rest, end_of_all = cut_blocks(
        [chunk for chunk in log.tail if chunk.offset >= at.offset], at, everything=True
    )
    position = Position()
    for block in cut + rest:
        frames, consumed = decode_frames(block.data)
        assert consumed == len(block.data) == block.header.size
        assert block.offset == position.offset
        assert (block.header.bytes_before, block.header.lines_before) == position[2:]
        position = Position(
            block.offset + consumed,
            block.header.source_end,
            position.bytes + sum(len(frame.payload) for frame in frames),
            position.lines + sum(frame.payload.count(b"\n") for frame in frames),
        )
    assert b"".join(block.data for block in cut + rest) == whole
    assert position == end_of_all == (len(whole), len(whole), 9000 * 66 + 65535, 9000)
    assert all(BLOCK_BYTES <= block.header.size < 3 * BLOCK_BYTES for block in cut)
