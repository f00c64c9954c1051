"""The whole agreed state as versioned bytes.

One version byte, then msgpack. Tables are written in their own order, which is the same on every
node and tells which entry is the oldest. Restoring replaces everything; nothing is merged.
"""

from datetime import datetime
from typing import Any

import msgspec

from croncord.credentials import Link, Secret, Token, User
from croncord.model import Calendar, Job, JoinToken, Node, RemovedNode, Run
from croncord.notification import Channel, Delivery, NotifySettings, Watch
from croncord.raft.sharing import share_entry
from croncord.raft.state import ClusterState
from croncord.saved_views import SavedView

_VERSION = b"\x01"


class StateCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shallow copy of the state, safe to encode on another thread: its values are immutable."""

    cluster_id: str
    session_key: bytes
    paused: bool
    term: int
    fence: int
    jobs: dict[str, Job]
    versions: dict[str, tuple[Job, ...]]
    open_runs: dict[str, Run]
    recent: dict[str, tuple[Run, ...]]
    lost: dict[str, Run]
    nodes: dict[str, Node]
    tokens: dict[str, Token]
    users: dict[str, User]
    links: dict[str, Link]
    keys: dict[str, str]
    calendars: dict[str, Calendar] = {}
    label_limits: dict[str, int] = {}
    deleted: dict[str, tuple[str, ...]] = {}
    removed: dict[str, RemovedNode] = {}
    join_tokens: dict[str, JoinToken] = {}
    unclosed: dict[str, Run] = {}
    secrets: dict[str, Secret] = {}
    views: dict[str, tuple[SavedView, ...]] = {}
    ended_sessions: dict[str, datetime] = {}
    channels: dict[str, Channel] = {}
    notify_settings: dict[str, NotifySettings] = {}
    watches: dict[str, Watch] = {}
    deliveries: dict[str, Delivery] = {}
    delivered: dict[str, Delivery] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(StateCopy)
_SCALARS = ("cluster_id", "session_key", "paused", "term", "fence")


def copy_state(state: ClusterState) -> StateCopy:
    """Copy the tables, not their entries: milliseconds for 100,000 jobs."""
    fields: dict[str, Any] = {name: getattr(state, name) for name in _SCALARS}
    fields |= {name: table.copy_entries() for name, table in state.tables().items()}
    return StateCopy(**fields)


def encode_copy(copy: StateCopy) -> bytes:
    """Return the snapshot's bytes."""
    return _VERSION + _encoder.encode(copy)


def encode_state(state: ClusterState) -> bytes:
    """Copy and encode in one go."""
    return encode_copy(copy_state(state))


def decode_state(data: bytes) -> ClusterState:
    """Build a new state from a snapshot.

    Raises ValueError (or msgspec's subclass of it) when the bytes are not a snapshot.
    """
    if data[:1] != _VERSION:
        raise ValueError(f"snapshot version {data[:1].hex() or 'missing'} is not known; upgrade")
    copy = _decoder.decode(memoryview(data)[1:])
    state = ClusterState()
    for name in _SCALARS:
        setattr(state, name, getattr(copy, name))
    for name, table in state.tables().items():
        for key, value in getattr(copy, name).items():
            table[key] = share_entry(state.jobs, name, key, value)
    state.rebuild_indexes()
    return state
