"""Which requests were applied already, so that a repeated one changes nothing.

A proposer whose command may have been lost repeats it under the same id. The log may then hold it
twice; only the first one counts, and the second one gets the first one's outcome. Both maps are
part of the agreed state (every node forgets the same ids at the same entry) and of every snapshot.
"""

from collections.abc import Iterable

REQUESTS_KEPT = 65_536
"""Far more than can be under way between a command and its last repetition."""
OUTCOMES_KEPT = 4096
OUTCOME_BYTES_KEPT = 8 * 1024 * 1024
"""Outcomes are forgotten sooner than ids: a repetition that comes later still changes nothing."""


class AppliedRequests:
    """The newest request ids that were applied, oldest first, and the newest outcomes."""

    def __init__(
        self, request_ids: Iterable[bytes] = (), outcomes: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        self._applied: dict[bytes, None] = dict.fromkeys(request_ids)
        self._outcomes: dict[bytes, bytes] = dict(outcomes)
        self._outcome_bytes = sum(map(len, self._outcomes.values()))

    def note(self, request_id: bytes) -> bool:
        """Remember an id; False when it was applied before."""
        if request_id in self._applied:
            return False
        self._applied[request_id] = None
        if len(self._applied) > REQUESTS_KEPT:
            del self._applied[next(iter(self._applied))]
        return True

    def remember(self, request_id: bytes, outcome: bytes) -> None:
        """Keep what came of a request that was just noted; the oldest outcomes are forgotten."""
        self._outcomes[request_id] = outcome
        self._outcome_bytes += len(outcome)
        while len(self._outcomes) > OUTCOMES_KEPT or self._outcome_bytes > OUTCOME_BYTES_KEPT:
            oldest = next(iter(self._outcomes))
            self._outcome_bytes -= len(self._outcomes.pop(oldest))

    def outcome(self, request_id: bytes) -> bytes | None:
        """Return what came of a request, None when that is not known any more."""
        return self._outcomes.get(request_id)

    def copy(self) -> list[bytes]:
        """Return all ids, oldest first."""
        return list(self._applied)

    def copy_outcomes(self) -> list[tuple[bytes, bytes]]:
        """Return ids and outcomes, oldest first."""
        return list(self._outcomes.items())

    def is_new(self, request_id: bytes) -> bool:
        """Whether an id was not applied yet, as far as is remembered."""
        return request_id not in self._applied
