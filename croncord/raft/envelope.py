"""What one log entry carries: an envelope around the bytes of a command.

    msgpack [version, request id, command bytes]

The request id is 16 random bytes chosen by the proposer. It ties the applied entry to whoever
waits for it, and it makes a repeated proposal harmless (see `requests`).
"""

import msgspec

VERSION = 1
REQUEST_ID_BYTES = 16

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, bytes, bytes])
_PREFIX = b"\x93\x01\xc4\x10"
"""Array of three, version 1, 16 bytes follow: lets the engine find the id without decoding."""


def seal(request_id: bytes, command: bytes) -> bytes:
    """Return the entry for a command."""
    if len(request_id) != REQUEST_ID_BYTES:
        raise ValueError("a request id has 16 bytes")
    return _encoder.encode((VERSION, request_id, command))


def unseal(entry: bytes) -> tuple[bytes, bytes]:
    """Return request id and command bytes. Raises ValueError for anything else."""
    version, request_id, command = _decoder.decode(entry)
    if version != VERSION or len(request_id) != REQUEST_ID_BYTES:
        raise ValueError(f"entry version {version} is not known; upgrade this node")
    return request_id, command


def request_id_of(entry: bytes) -> bytes | None:
    """Return the request id without decoding, or None when this is no envelope."""
    if entry[:4] != _PREFIX:
        return None
    return entry[4 : 4 + REQUEST_ID_BYTES]
