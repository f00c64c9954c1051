"""The messages between nodes: plain msgpack maps, checked field by field before anybody acts.

pysyncobj exchanges pickles, which run code when they are read. Here a message is data only, its
fields have the types below, and anything else ends the connection.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

Message = dict[str, Any]

_LOG = {"last_log_index": int, "last_log_term": int}
FIELDS: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "ping": {},
    "append_entries": {"term": int, "commit_index": int, "probe": int},
    "next_node_idx": {
        "term": int,
        "next_node_idx": int,
        "reset": bool,
        "success": bool,
        "probe": int,
        "founded": bool,
    },
    "hello": {},
    "join": {"address": str, "incarnation": int, "wants": str},
    "hello_ok": {"pristine": bool},
    "admitted": {"term": int},
    "digest": {"index": int, "digest": str},
    "removed": {"term": int},
    "gone": {},
    "remove": {"name": str},
    "leader_at": {"name": str, "address": str},
    "prevote": {"term": int, "incarnation": int, **_LOG},
    "prevote_ok": {"term": int},
    "prevote_late": {"term": int},
    "request_vote": {"term": int, "transfer": bool, "incarnation": int, **_LOG},
    "response_vote": {"term": int, "granted": bool},
    "timeout_now": {"term": int},
    "propose": {"entries": list},
    "read": {"id": int},
    "read_index": {"id": int, "index": (int, type(None))},
    "snapshot": {
        "term": int,
        "commit_index": int,
        "probe": int,
        "index": int,
        "digest": bytes,
        "size": int,
        "offset": int,
        "data": bytes,
    },
    "snapshot_at": {"term": int, "index": int, "offset": int, "gap": bool},
}
_APPEND_BODY = {"prevLogIdx": int, "prevLogTerm": int, "entries": list}

_MISSING: Final = object()
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Any])


def encode(message: Message) -> bytes:
    """Return a message's bytes."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Read a message. Raises ValueError for anything that no node sends."""
    message = _decoder.decode(data)
    kind = message.get("type")
    fields = FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise ValueError("a message of unknown type")
    _check(message, fields)
    if message["type"] == "append_entries" and "prevLogIdx" in message:
        _check(message, _APPEND_BODY)
        if not all(
            _is_entry(entry) and entry[1] == index
            for index, entry in enumerate(message["entries"], message["prevLogIdx"] + 1)
        ):
            raise ValueError("entries of the wrong shape or out of order")
    if message["type"] == "propose" and not all(type(e) is bytes for e in message["entries"]):
        raise ValueError("a proposal of the wrong shape")
    return message


def _check(message: Message, fields: Mapping[str, type | tuple[type, ...]]) -> None:
    for name, kind in fields.items():
        value = message.get(name, _MISSING)
        is_wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        if is_wrong or (type(value) is int and value < 0):
            raise ValueError(f"a {message['type']} message with a wrong {name}")


def _is_entry(entry: Any) -> bool:
    return (
        type(entry) is list
        and len(entry) == 3
        and type(entry[0]) is bytes
        and type(entry[1]) is int
        and type(entry[2]) is int
    )
