"""The outcome of a command as bytes, to be given again when the command is repeated.

    msgpack [kind of the value, refusal or nil, value]

The kind names the type, so that the value comes back as what it was. Ledger rows are left out: they
were told when the command was applied.
"""

from types import MappingProxyType
from typing import Any, Final

import msgspec

from croncord.credentials import Link, Secret, Token, User
from croncord.model import Calendar, Job, JoinToken, Node, Run
from croncord.raft.state import Outcome, Refusal

_STRUCTS: Final = (Calendar, Job, JoinToken, Link, Node, Run, Secret, Token, User)
_PLAIN: Final = "plain"
_KINDS: Final = MappingProxyType(
    {
        **{kind.__name__: kind for kind in _STRUCTS},
        "tuple": tuple[str, ...],
        _PLAIN: bool | int | str | dict[str, int] | None,
    }
)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    refusal: Refusal | None
    value: msgspec.Raw


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(_Kept).decode
_decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in _KINDS.items()}


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the bytes of an outcome, the same on every node."""
    name = type(outcome.value).__name__
    kind = name if name in _KINDS else _PLAIN
    return _encode(_Kept(kind, outcome.refusal, msgspec.Raw(_encode(outcome.value))))


def decode_outcome(data: bytes) -> Outcome:
    """Read what `encode_outcome` wrote, without the rows."""
    kept = _decode(data)
    value: Any = _decoders[kept.kind].decode(kept.value)
    return Outcome(value=value, refusal=kept.refusal)
