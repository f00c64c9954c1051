"""How output is kept within a limit, and what happens when the disk refuses it."""

import os
import resource
import signal

import pytest

from croncord.frames import END, STDERR, STDOUT, SYSTEM, decode_frames, gap_bytes
from croncord.node.capture import Capture


@pytest.fixture
def spool(tmp_path):
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
