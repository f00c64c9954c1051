"""Frames: how the output of a run is written down, by its shim and in the store.

    u8   stream   1 stdout, 2 stderr, 3 system (a gap when flag bit 0 is set), 9 end
    u8   flags
    u16  length   of the payload, big endian
    u32  milliseconds since the run started, big endian
    payload, at most 65,535 bytes

One frame is one read from the process. Offsets into an output are offsets into this stream of
frames; a valid offset is where a frame begins. The payload of an end frame belongs to who wrote it.

This module is imported by the process that shims are forked from: it stays small.
"""

import struct
from typing import Final, NamedTuple

STDOUT: Final = 1
STDERR: Final = 2
SYSTEM: Final = 3
END: Final = 9

GAP: Final = 1
"""Flag of a system frame: the payload is the decimal number of bytes left out at this point."""

PAYLOAD_BYTES_MAX: Final = 0xFFFF
MILLISECONDS_MAX: Final = 0xFFFFFFFF
"""49.7 days; later frames all carry this time."""

_DIGITS_MAX = 20
_HEADER = struct.Struct(">BBHI")
HEADER_BYTES: Final = _HEADER.size


class Frame(NamedTuple):
    """One frame, decoded."""

    stream: int
    flags: int
    milliseconds: int
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes it takes in the stream of frames."""
        return HEADER_BYTES + len(self.payload)

    @property
    def is_output(self) -> bool:
        """Whether the payload was written by the process."""
        return self.stream in {STDOUT, STDERR}


def encode_frame(stream: int, payload: bytes, milliseconds: int, flags: int = 0) -> bytes:
    """Return one frame. Raises ValueError when the payload is too long for one."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"a frame holds {PAYLOAD_BYTES_MAX} bytes, not {len(payload)}")
    stamp = min(max(milliseconds, 0), MILLISECONDS_MAX)
    return _HEADER.pack(stream, flags, len(payload), stamp) + payload


def encode_gap(dropped_bytes: int, milliseconds: int) -> bytes:
    """Return the frame that says how many bytes of output are left out here."""
    return encode_frame(SYSTEM, str(dropped_bytes).encode(), milliseconds, GAP)


def decode_frames(data: bytes) -> tuple[list[Frame], int]:
    """Return the whole frames at the start of `data`, and how many bytes they take.

    What is left over is the beginning of a frame: put it in front of the bytes that come next.
    """
    frames: list[Frame] = []
    consumed = 0
    size = len(data)
    while size - consumed >= HEADER_BYTES:
        stream, flags, length, milliseconds = _HEADER.unpack_from(data, consumed)
        end = consumed + HEADER_BYTES + length
        if end > size:
            break
        payload = data[consumed + HEADER_BYTES : end]
        frames.append(Frame(stream, flags, milliseconds, payload))
        consumed = end
    return frames, consumed


def gap_bytes(frame: Frame) -> int:
    """Return how many bytes a gap frame says are left out; 0 for any other frame."""
    if frame.stream != SYSTEM or not frame.flags & GAP:
        return 0
    digits = frame.payload
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS_MAX else 0


def shown(frame: Frame) -> bytes:
    """Return what a reader sees of a frame: nothing of an end frame, a remark for a gap."""
    if frame.stream == END:
        return b""
    missing = gap_bytes(frame)
    return b"[%d bytes of output are left out here]\n" % missing if missing else frame.payload
