"""A backup file says itself whether it is whole; what is not is refused with a sentence."""

import io
import itertools
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.backup_format import (
    BODY_BYTES_MAX,
    MAGIC,
    BackupReader,
    BackupWriter,
    Header,
    read_backup,
)
from croncord.errors import StoreError

HEADER = Header(
    version="0.1.0",
    cluster_id="c1",
    index=7,
    term=2,
    at=datetime(2026, 11, 24, tzinfo=UTC),
    node="n1",
    state_digest="d",
    jobs=1,
    users=0,
    tokens=0,
    secrets=0,
    calendars=0,
    open_runs=0,
    nodes=("n1",),
)


def written(*frames, header=HEADER):
    writer = BackupWriter()
    parts = [writer.header(header), *(writer.frame(*frame) for frame in frames), writer.end()]
    return b"".join(parts)


WHOLE = written(
    ("state", b"abc" * 50, 1), ("output", b"x", 2), ("rows", b"yy", 5), ("audit", b"z", 3)
)


def read(data):
    reader = BackupReader("b.backup")
    return list(read_backup(io.BytesIO(data), reader)), reader


def refusal(data):
    with pytest.raises(StoreError) as caught:
        read(data)
    return caught.value.message


def test_what_was_written_is_read_in_order_and_counted():
    frames, reader = read(WHOLE)
    assert [frame.kind for frame in frames] == ["header", "state", "output", "rows", "audit", "end"]
    assert frames[1].body == b"abc" * 50
    assert reader.header == HEADER
    assert reader.finish().items == {"header": 0, "state": 1, "output": 2, "rows": 5, "audit": 3}


@given(st.lists(st.integers(1, len(WHOLE)), max_size=20))
def test_it_does_not_matter_in_which_pieces_the_file_comes(cuts):
    reader = BackupReader("b.backup")
    edges = [0, *sorted(cuts), len(WHOLE)]
    kinds = [f.kind for a, b in itertools.pairwise(edges) for f in reader.feed(WHOLE[a:b])]
    assert kinds[-1] == "end"
    assert reader.finish().frames == 5


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_short_anywhere_is_refused(size):
    assert "is cut short: it ends after" in refusal(WHOLE[:size])


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_file_with_one_changed_byte_is_refused(position, change):
    damaged = bytearray(WHOLE)
    damaged[position] ^= change
    assert any(
        words in refusal(bytes(damaged)) for words in ("is damaged", "is cut short", "no backup")
    )


def test_two_halves_of_different_backups_are_no_backup():
    other = written(("state", b"other", 1), ("rows", b"yy", 5))
    mine = written(("state", b"abcde", 1), ("rows", b"yy", 5))
    middle = len(mine) - len(BackupWriter().end()) - 60
    assert refusal(other[:middle] + mine[middle:])


def test_bytes_after_the_end_and_frames_in_the_wrong_order_are_refused():
    assert refusal(WHOLE + b"x") == "b.backup is damaged: bytes follow after its end"
    assert "stands in the wrong place" in refusal(written(("rows", b"", 0), ("state", b"", 0)))


def test_something_else_is_called_no_backup():
    assert refusal(b"PK\x03\x04 a zip") == "b.backup is no backup of CronCord"
    assert "is cut short" in refusal(b"")


def test_a_newer_format_is_refused_by_name_even_when_its_header_cannot_be_read():
    newer = written(header=msgspec.structs.replace(HEADER, format=9, version="7.0"))
    assert refusal(newer) == (
        "b.backup was written by CronCord 7.0 in format 9; this program reads formats up to 1"
    )
    writer = BackupWriter()
    writer._digest.update(MAGIC)
    odd = MAGIC + writer.frame("header", msgspec.msgpack.encode({"format": 3})) + writer.end()
    assert "in format 3; this program reads formats up to 1" in refusal(odd)


def test_a_small_frame_that_stands_for_a_huge_one_is_refused():
    assert "is too large" in refusal(written(("state", bytes(BODY_BYTES_MAX + 1), 1)))
