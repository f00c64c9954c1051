"""Reading and changing the agreed state on behalf of a person.

A read waits until this node has applied all that was agreed before; without a leader it is answered
from this node's own copy, and `own_copy_was_read` tells the door so that it can say it. A change is
one command; a refusal becomes an exception.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from croncord.clock import Clock, to_milliseconds
from croncord.errors import (
    Conflict,
    CronCordError,
    FieldError,
    Forbidden,
    Invalid,
    Malformed,
    NoLeader,
    NotFound,
    NotReady,
    VersionChanged,
)
from croncord.raft.commands import COMMAND_BYTES_MAX, AnyCommand, encode_command
from croncord.raft.envelope import REQUEST_ID_BYTES
from croncord.raft.port import Replica
from croncord.raft.state import ClusterState, Refusal

BARRIER_SECONDS = 3.0
BEHIND_SECONDS = 5.0
_RETRY_SECONDS = 0.1


class ReadNote:
    """Where a request learns how its reads were answered."""

    def __init__(self) -> None:
        self.own_copy = False


read_note: ContextVar[ReadNote | None] = ContextVar("read_note", default=None)
"""Set by a door before it calls the desk, when it wants to know."""

_KINDS: Final[Mapping[str, type[CronCordError]]] = MappingProxyType(
    {
        "not_found": NotFound,
        "conflict": Conflict,
        "forbidden": Forbidden,
        "malformed": Malformed,
    }
)
"""What a refusal means that needs no hint."""


class RepeatableRequest:
    """A request that was given an idempotency key: its changes get ids that a repetition gets too."""

    def __init__(self, identity: str) -> None:
        """Take what tells this request from all others: who, what, and the key."""
        self._identity = identity
        self._changes = 0

    def next_id(self) -> bytes:
        """Return the id of the next change, in the order in which they are proposed."""
        self._changes += 1
        text = f"{self._identity}\x00{self._changes}"
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=REQUEST_ID_BYTES).digest()


repeatable: ContextVar[RepeatableRequest | None] = ContextVar("repeatable", default=None)
"""Set by a door for a request that came with an idempotency key."""

caller_address: ContextVar[str] = ContextVar("caller_address", default="")
"""Set by a door: where the request came from on whose behalf things are changed."""


class Agreement:
    """The replica and the clock, as the services use them."""

    def __init__(self, replica: Replica, clock: Clock) -> None:
        self.replica = replica
        self.clock = clock

    @property
    def state(self) -> ClusterState:
        """This node's copy; read only."""
        return self.replica.state

    def now(self) -> datetime:
        """Return the time to stamp a command with."""
        return to_milliseconds(self.clock.now())

    def leader(self) -> str | None:
        """Return who leads, None when nobody with a majority does as far as this node knows."""
        status = self.replica.status()
        return status.leader if status.has_quorum or status.leader != status.name else None

    async def read(self, *, stale: bool = False) -> ClusterState:
        """Return the state to answer from: up to date, or the own copy when nothing leads."""
        if not stale:
            try:
                await self.replica.barrier(timeout_seconds=BARRIER_SECONDS)
            except NoLeader:
                stale = True
        note = read_note.get()
        if stale and note is not None:
            note.own_copy = True
        return self.state

    async def change(
        self, build: Callable[[datetime], AnyCommand], *, draws_secret: bool = False
    ) -> Any:
        """Propose what `build` makes of the time and return the outcome's value.

        A request that is repeated under its idempotency key gets the outcome it had at first,
        unless the command holds a secret that was drawn anew: then it is a change of its own.

        While ticks that were due are still being decided it is built and proposed again, for up to
        5 seconds. Raises what the refusal means, NoLeader, OutcomeUnknown.
        """
        give_up_at = self.clock.monotonic() + BEHIND_SECONDS
        request = None if draws_secret else repeatable.get()
        while True:
            command = msgspec.structs.replace(build(self.now()), address=caller_address.get())
            if len(encode_command(command)) > COMMAND_BYTES_MAX:
                raise Invalid([FieldError("", "the whole is too large")])
            outcome = await self.replica.propose(
                command, request_id=None if request is None else request.next_id()
            )
            refusal = outcome.refusal
            if refusal is None:
                return outcome.value
            if refusal.code != "behind" or self.clock.monotonic() >= give_up_at:
                raise _refused(refusal)
            await self.clock.sleep(_RETRY_SECONDS)


def _refused(refusal: Refusal) -> CronCordError:
    if refusal.code == "invalid":
        return Invalid([FieldError(refusal.field, refusal.message)])
    if refusal.code == "version":
        return VersionChanged(refusal.message, hint="Read it again and repeat your change.")
    kind = _KINDS.get(refusal.code)
    if kind is not None:
        return kind(refusal.message)
    return NotReady(refusal.message, hint="Try again in a few seconds.")
