"""Keys, blocks and journal entries: what they mean and what damage does to them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.errors import Invalid, StoreError
from croncord.logs import blocks, journal, keys
from croncord.model import run_id
from croncord.ports import LogKey

instants = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is the strategy's


@given(st.text(max_size=5), instants, st.integers(0, keys.ATTEMPT_MAX))
def test_a_key_names_the_utc_day_of_the_nominal_time(job, nominal, attempt):
    key = LogKey(run_id(job, nominal), attempt)
    raw = keys.pack(key)
    assert keys.unpack(raw) == key
    day = keys.day_of(raw)
    assert day == f"blocks-{nominal:%Y%m%d}"
    assert keys.is_day(day)


@given(instants, instants)
def test_keys_sort_by_nominal_time(one, other):
    # Within a millisecond the order says nothing.
    if other - one >= timedelta(milliseconds=1):
        assert keys.pack(LogKey(run_id("z", one), 9)) < keys.pack(LogKey(run_id("a", other), 1))


@pytest.mark.parametrize(
    "key",
    [
        LogKey("", 1),
        LogKey("../../../etc/passwd", 1),
        LogKey("W" * 24, 1),
        LogKey("w" * 24, 1),
        LogKey("0" * 25, 1),
        LogKey("0" * 24, -1),
        LogKey("0" * 24, 70000),
    ],
)
def test_what_cannot_be_a_key_is_refused(key):
    with pytest.raises(Invalid):
        keys.pack(key)


def test_the_last_run_id_that_can_be_written_has_a_day_too():
    assert keys.day_of(b"\xff" * 17) == "blocks-99991231"


HEADER = blocks.BlockHeader(1000, 1000, 5, 6, 900, 7)


def test_a_block_gives_back_its_bytes_and_counters():
    value = blocks.encode_block(HEADER, b"x" * 1000)
    assert blocks.decode_header(value) == HEADER
    assert blocks.decode_block(value) == b"x" * 1000
    assert len(value) < 100


@pytest.mark.parametrize("place", range(100))
def test_a_damaged_block_is_never_taken_for_a_sound_one(place):
    raw = bytes(range(256)) * 3 + b"y" * 232
    value = bytearray(blocks.encode_block(HEADER, raw))
    value[place] ^= 0x10
    try:
        # One bit of the compressed form means nothing.
        assert blocks.decode_block(bytes(value)) == raw
    except StoreError as error:
        assert "damaged" in error.message  # noqa: PT017 - both ways are right


def test_a_block_that_would_unpack_to_much_more_than_it_says_is_refused():
    small = blocks.BlockHeader(10, 10, 0, 0, 0, 0)
    with pytest.raises(StoreError, match="wrong length"):
        blocks.decode_block(blocks.encode_block(small, b"\0" * 10_000_000))
    huge = blocks.BlockHeader(2**31, 0, 0, 0, 0, 0)
    with pytest.raises(StoreError, match="impossible"):
        blocks.decode_block(blocks.encode_block(huge, b""))


records = st.builds(
    journal.Record,
    st.binary(min_size=17, max_size=17),
    st.integers(0, 2**60),
    st.integers(0, 2**60),
    st.binary(max_size=60),
)


@given(st.lists(records, max_size=5))
def test_a_journal_entry_gives_back_its_records(given_records):
    assert journal.decode_entry(journal.encode_entry(given_records)) == given_records


@given(st.binary(max_size=40))
def test_garbage_is_no_journal_entry(garbage):
    with pytest.raises(StoreError):
        journal.decode_entry(garbage)
