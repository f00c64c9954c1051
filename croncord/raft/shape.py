"""Which fields the agreed values have in this release, in a few characters. Pure.

While a cluster is upgraded two releases run side by side. Where the newer one added a field, the same
commands give states with different digests on both, though nothing is wrong. So a digest says which
shape it is of, and digests of different shapes are not compared.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Final

import msgspec

from croncord import credentials, model, notification, saved_views
from croncord.raft.state import ClusterState

_MODULES: Final = frozenset(
    module.__name__ for module in (model, credentials, notification, saved_views)
)
"""Where the agreed values are; structures of other modules are questions, answers and commands."""
_CHARACTERS: Final = 8


@cache
def shape() -> str:
    """Return what differs when a field or a table was added, renamed or removed."""
    told = [
        f"{kind.__name__}({','.join(kind.__struct_fields__)})" for kind in _kinds(msgspec.Struct)
    ]
    told += ClusterState().tables()
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()[:_CHARACTERS]


def _kinds(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for kind in base.__subclasses__():
        if kind.__module__ in _MODULES:
            yield kind
        yield from _kinds(kind)
