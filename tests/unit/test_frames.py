"""The frames of an output survive being cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.frames import (
    END,
    GAP,
    HEADER_BYTES,
    MILLISECONDS_MAX,
    PAYLOAD_BYTES_MAX,
    STDERR,
    STDOUT,
    SYSTEM,
    Frame,
    decode_frames,
    encode_frame,
    encode_gap,
    gap_bytes,
)

frames = st.lists(
    st.builds(
        Frame,
        st.sampled_from([STDOUT, STDERR, SYSTEM, END]),
        st.integers(0, 255),
        st.integers(0, MILLISECONDS_MAX),
        st.binary(max_size=50),
    ),
    max_size=8,
)


def test_a_frame_is_eight_bytes_of_header_and_the_payload():
    assert encode_frame(STDERR, b"oops", 258) == b"\x02\x00\x00\x04\x00\x00\x01\x02oops"


@given(frames, st.integers(0, 500))
def test_frames_cut_anywhere_are_put_together_again(given_frames, cut):
    data = b"".join(
        encode_frame(f.stream, f.payload, f.milliseconds, f.flags) for f in given_frames
    )
    first, consumed = decode_frames(data[:cut])
    rest, all_of_it = decode_frames(data[consumed:])
    assert first + rest == given_frames
    assert consumed + all_of_it == len(data)


def test_a_payload_that_does_not_fit_is_refused_and_the_longest_is_not():
    longest = encode_frame(STDOUT, b"x" * PAYLOAD_BYTES_MAX, 0)
    assert decode_frames(longest)[0][0].size == len(longest) == HEADER_BYTES + PAYLOAD_BYTES_MAX
    with pytest.raises(ValueError, match="65535"):
        encode_frame(STDOUT, b"x" * (PAYLOAD_BYTES_MAX + 1), 0)


@pytest.mark.parametrize(("given_ms", "kept"), [(-5, 0), (2**40, MILLISECONDS_MAX)])
def test_a_time_that_does_not_fit_becomes_the_nearest_that_does(given_ms, kept):
    assert decode_frames(encode_frame(STDOUT, b"", given_ms))[0][0].milliseconds == kept


@pytest.mark.parametrize(
    ("frame", "missing"),
    [
        (decode_frames(encode_gap(12345, 7))[0][0], 12345),
        (Frame(SYSTEM, 0, 0, b"12345"), 0),
        (Frame(STDOUT, GAP, 0, b"12345"), 0),
        (Frame(SYSTEM, GAP, 0, b"-3"), 0),
        (Frame(SYSTEM, GAP, 0, b"9" * 5000), 0),
    ],
)
def test_only_a_well_formed_gap_says_that_bytes_are_missing(frame, missing):
    assert gap_bytes(frame) == missing
