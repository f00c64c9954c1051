"""The agreed state on the event loop's thread: applying entries, waking who waits for them.

Both replicas use it. An entry is decoded and applied once; what cannot be decoded here (a newer
version wrote it) stops the node, because skipping it would make this node's state differ.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from croncord.errors import CronCordError, OutcomeUnknown
from croncord.raft.apply import apply
from croncord.raft.commands import AnyCommand, decode_command
from croncord.raft.envelope import unseal
from croncord.raft.image import Restored, encode_image
from croncord.raft.outcomes import decode_outcome, encode_outcome
from croncord.raft.port import AppliedListener
from croncord.raft.requests import AppliedRequests
from croncord.raft.shape import shape
from croncord.raft.snapshot import copy_state
from croncord.raft.state import ClusterState, Outcome

_log = logging.getLogger(__name__)

DIGEST_EVERY = 64
_DIGESTS_KEPT = 256


class Unappliable(CronCordError):
    """An agreed entry cannot be applied here; going on would make this node's state differ."""

    title = "Entry cannot be applied"


class Applier:
    """The state, as of `applied_index`, and everybody who waits for it to move."""

    def __init__(self) -> None:
        self.state = ClusterState()
        self.applied_index = 0
        self.last_digest: tuple[int, str] | None = None
        """Index and digest of the state as last noted, to be compared with other nodes'."""
        self._digests: dict[int, str] = {}
        self._expected: dict[int, str] = {}
        self._requests = AppliedRequests()
        self._waiting: dict[bytes, asyncio.Future[Outcome]] = {}
        self._indexes: list[tuple[int, asyncio.Future[None]]] = []
        self._listeners: list[AppliedListener] = []
        self._restored: list[Callable[[], None]] = []

    def subscribe(self, listener: AppliedListener) -> Callable[[], None]:
        """Call the listener for each applied command; returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_restored(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener when a snapshot took the state's place; returns how to stop that."""
        self._restored.append(listener)
        return lambda: self._restored.remove(listener)

    def expect(self, request_id: bytes) -> asyncio.Future[Outcome]:
        """Return a future for the outcome of a request that is about to be proposed."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        return future

    def forget(self, request_id: bytes) -> None:
        """Nobody waits for this request any more."""
        self._waiting.pop(request_id, None)

    def apply(self, index: int, entry: bytes) -> None:
        """Apply an agreed entry. Raises Unappliable when this node must stop."""
        try:
            request_id, body = unseal(entry)
            command = decode_command(body)
        except ValueError as error:
            raise Unappliable(
                f"Entry {index} cannot be read: {error}",
                hint="A newer version of CronCord wrote it. Upgrade this node and start it again.",
            ) from error
        if not self._requests.note(request_id):
            self.advance(index)
            self._answer_again(request_id)
            return
        try:
            outcome = apply(self.state, command)
        except Exception as error:
            raise Unappliable(
                f"Entry {index} ({type(command).__name__}) failed: {error!r}",
                hint="This is a fault in CronCord. Report it with the log; the node's data is "
                "intact, and a version without the fault will go on from here.",
            ) from error
        self._requests.remember(request_id, encode_outcome(outcome))
        self.advance(index)
        if index % DIGEST_EVERY == 0:
            self._note_digest(index)
        self._tell(index, command, outcome)
        future = self._waiting.pop(request_id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def _answer_again(self, request_id: bytes) -> None:
        """Give who repeats a request the outcome that it had."""
        future = self._waiting.pop(request_id, None)
        if future is None or future.done():
            return
        kept = self._requests.outcome(request_id)
        if kept is None:
            future.set_exception(
                OutcomeUnknown(
                    "The change was made, so long ago that its result is not kept any more",
                    hint="Look at the present state before repeating it under another key.",
                )
            )
        else:
            future.set_result(decode_outcome(kept))

    def _tell(self, index: int, command: AnyCommand, outcome: Outcome) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(index, command, outcome)
            except Exception:  # noqa: BLE001 - the fallback is named below
                # A listener only watches: its fault must not keep the state from moving on
                # (scenario s6: pysyncobj applies the command twice).
                _log.exception("a listener failed at entry %d", index)

    def advance(self, index: int) -> None:
        """Everything up to `index` is applied."""
        self.applied_index = index
        if self._indexes and self._indexes[0][0] <= index:
            due = [future for wanted, future in self._indexes if wanted <= index]
            self._indexes = [item for item in self._indexes if item[0] > index]
            for future in due:
                if not future.done():
                    future.set_result(None)

    def _note_digest(self, index: int) -> None:
        digest = f"{shape()}:{self.state.digest()}"
        self.last_digest = (index, digest)
        self._digests[index] = digest
        if len(self._digests) > _DIGESTS_KEPT:
            del self._digests[next(iter(self._digests))]
        expected = self._expected.pop(index, None)
        if expected is not None:
            self._compare(index, digest, expected)

    def check_digest(self, index: int, expected: str) -> None:
        """Compare with another node's digest, now or once `index` is applied.

        Raises Unappliable when the two states differ.
        """
        mine = self._digests.get(index)
        if mine is not None:
            self._compare(index, mine, expected)
        elif index > self.applied_index:
            self._expected[index] = expected
            if len(self._expected) > _DIGESTS_KEPT:
                del self._expected[next(iter(self._expected))]

    def _compare(self, index: int, mine: str, expected: str) -> None:
        if mine.partition(":")[0] != expected.partition(":")[0]:
            return  # during an upgrade: the other release keeps other fields
        if mine != expected:
            raise Unappliable(
                f"This node's state differs from the leader's at entry {index}",
                hint="This is a fault in CronCord or in memory. Keep this node's data directory "
                "for the report, move it away and start again: the node copies the leader's state. "
                "If all followers stopped, the leader is the one that is wrong.",
            )

    async def reach(self, index: int) -> None:
        """Wait until `index` is applied."""
        if self.applied_index < index:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._indexes.append((index, future))
            self._indexes.sort(key=lambda item: item[0])
            await future

    def restore(self, index: int, restored: Restored) -> None:
        """Replace everything by a snapshot, which holds the outcomes of what was skipped over."""
        self.state, self._requests = restored
        self._digests.clear()
        self._expected = {i: d for i, d in self._expected.items() if i > index}
        self.advance(index)
        for request_id in [r for r in self._waiting if not self._requests.is_new(r)]:
            self._answer_again(request_id)
        for listener in tuple(self._restored):
            listener()

    def give_up(self) -> None:
        """End all waiting, as if its time were up: nothing will be applied any more."""
        waiting: list[asyncio.Future[Any]] = [*self._waiting.values()]
        waiting += [future for _index, future in self._indexes]
        self._waiting, self._indexes = {}, []
        for future in waiting:
            if not future.done():
                future.set_exception(TimeoutError("this node has stopped"))

    def capture(self) -> Callable[[], Iterable[bytes]]:
        """Copy the state now (milliseconds); the result encodes the copy, on any thread."""
        copy, requests = copy_state(self.state), self._requests.copy()
        outcomes = self._requests.copy_outcomes()
        return lambda: encode_image(copy, requests, outcomes)
