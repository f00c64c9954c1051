"""How output is kept within a limit, and what happens when the disk refuses it."""

import os
import resource
import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croncord.frames import (
    END,
    STDERR,
    STDOUT,
    SYSTEM,
    decode_frames,
    encode_frame,
    gap_bytes,
)
from croncord.node.capture import Capture
from croncord.node.tail import Tail


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    descriptor = os.open(tmp_path / "spool", os.O_CREAT | os.O_RDWR | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


def frames_of(spool):
    frames, consumed = decode_frames(os.pread(spool, 1 << 20, 0))
    assert consumed == os.fstat(spool).st_size
    return frames


def gaps(frames):
    return [gap_bytes(frame) for frame in frames if gap_bytes(frame)]


def output(frames, stream=STDOUT):
    return b"".join(frame.payload for frame in frames if frame.stream == stream)


def test_both_streams_are_kept_in_the_order_they_were_read(spool):
    capture = Capture(spool, 1000)
    for stream, data in ((STDOUT, b"a"), (STDERR, b"b"), (STDOUT, b"\xff\x00c")):
        capture.take(stream, data)
    capture.end(b"{}")
    frames = frames_of(spool)
    assert [(f.stream, f.payload) for f in frames] == [
        (STDOUT, b"a"),
        (STDERR, b"b"),
        (STDOUT, b"\xff\x00c"),
        (END, b"{}"),
    ]
    assert capture.dropped_bytes == 0


@pytest.mark.parametrize("pieces", [[10, 10], [25], [5, 5, 5, 5, 30], [20, 1], [1] * 50])
def test_the_first_bytes_up_to_the_limit_are_kept_and_the_rest_is_counted(spool, pieces):
    capture = Capture(spool, 20)
    for size in pieces:
        capture.take(STDOUT, b"x" * size)
    capture.end(b"{}")
    frames = frames_of(spool)
    total = sum(pieces)
    assert len(output(frames)) == min(total, 20)
    assert sum(gaps(frames)) == capture.dropped_bytes == max(0, total - 20)
    assert [f.payload for f in frames if f.stream == SYSTEM and not gap_bytes(f)] == (
        [b"the output limit of 20 bytes is reached; the rest is dropped"] if total > 20 else []
    )


def test_a_disk_that_refuses_costs_bytes_which_are_marked_where_they_are_missing(spool):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    capture = Capture(spool, 1000)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, old[1]))
        capture.take(STDOUT, b"before")
        capture.take(STDOUT, b"x" * 50)
        capture.take(STDERR, b"y" * 7)
        size = os.fstat(spool).st_size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, was)
    assert size == 8 + len("before"), "a half-written frame is taken back"
    capture.take(STDOUT, b"after")
    capture.end(b"{}")
    frames = frames_of(spool)
    assert [(f.stream, f.payload) for f in frames] == [
        (STDOUT, b"before"),
        (SYSTEM, b"57"),
        (STDOUT, b"after"),
        (END, b"{}"),
    ]
    assert capture.dropped_bytes == 57


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1)), max_size=40
    ),
    head=st.integers(1, 60),
    tail=st.integers(1, 60),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_head_and_tail_are_kept_whatever_the_pieces(spool, pieces, head, tail):
    os.ftruncate(spool, 0)
    capture = Capture(spool, head, tail)
    for stream, data in pieces:
        capture.take(stream, data)
    capture.end(b"{}")
    frames = frames_of(spool)
    written = b"".join(data for _, data in pieces)
    kept = b"".join(frame.payload for frame in frames if frame.is_output)
    cut = max(0, len(written) - head - tail)
    assert kept == written[:head] + written[max(head, len(written) - tail) :]
    assert gaps(frames) == ([cut] if cut else [])
    assert capture.dropped_bytes == cut
    assert capture.is_over_limit == (cut > 0)
    assert frames[-1].stream == END


def test_the_cut_lies_between_head_and_tail_and_the_reader_was_told_when_it_began(spool):
    capture = Capture(spool, 4, 3)
    for data in (b"abcd", b"efgh", b"ijkl"):
        capture.take(STDOUT, data)
    told = [frame.payload for frame in frames_of(spool) if frame.stream == SYSTEM]
    assert b"the last 3 of what follows" in told[0]
    capture.end(b"{}")
    assert [(f.stream, f.payload) for f in frames_of(spool) if f.payload != told[0]] == [
        (STDOUT, b"abcd"),
        (SYSTEM, b"5"),
        (STDOUT, b"jkl"),
        (END, b"{}"),
    ]


def test_a_tail_needs_no_more_room_than_twice_its_size_and_a_piece(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tail = Tail(1000)
    for number in range(500):
        tail.push(encode_frame(STDOUT, b"%03d" % number * 20, 0))
    kept = b"".join(decode_frames(frame)[0][0].payload for frame in tail.frames())
    assert len(kept) == 1000
    assert kept.endswith(b"499")
    assert tail.cut_bytes == 500 * 60 - 1000
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_gone_costs_the_tail_and_nothing_else(tmp_path, monkeypatch, spool):
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    place.rmdir()
    capture = Capture(spool, 4, 4)
    capture.take(STDOUT, b"abcdefghij")
    capture.end(b"{}")
    assert output(frames_of(spool)) == b"abcd"
    assert gaps(frames_of(spool)) == [6]


def test_what_is_not_kept_is_glimpsed_and_the_glimpses_are_no_part_of_the_output(
    spool, monkeypatch
):
    now = 50.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    capture = Capture(spool, 10, 10)
    printed = b""
    for n in range(100):
        printed += b"%03d\n" % n
        capture.take(STDOUT, b"%03d\n" % n)
        now += 0.1
        capture.glimpse()
    live = frames_of(spool)
    capture.end(b"{}")
    frames = frames_of(spool)
    assert frames[: len(live)] == live
    remarks = [frame.payload for frame in live if frame.stream == SYSTEM]
    assert b"are kept" in remarks[0]
    assert len(remarks) == 10
    assert remarks[-1].endswith(b"\n091")
    assert output(frames) == printed[:10] + printed[-10:]
    assert gaps(frames) == [400 - 20] == [capture.dropped_bytes]
