"""Which requests were applied already, so that a repeated one changes nothing.

A proposer whose command may have been lost repeats it under the same id. The log may then hold it
twice; only the first one counts. The map is part of the agreed state (every node forgets the same
ids at the same entry) and of every snapshot.
"""

from collections.abc import Iterable

REQUESTS_KEPT = 65_536
"""Far more than can be under way between a command and its last repetition."""


class AppliedRequests:
    """The newest request ids that were applied, oldest first."""

    def __init__(self, request_ids: Iterable[bytes] = ()) -> None:
        self._applied: dict[bytes, None] = dict.fromkeys(request_ids)

    def note(self, request_id: bytes) -> bool:
        """Remember an id; False when it was applied before."""
        if request_id in self._applied:
            return False
        self._applied[request_id] = None
        if len(self._applied) > REQUESTS_KEPT:
            del self._applied[next(iter(self._applied))]
        return True

    def copy(self) -> list[bytes]:
        """Return all ids, oldest first."""
        return list(self._applied)

    def is_new(self, request_id: bytes) -> bool:
        """Whether an id was not applied yet, as far as is remembered."""
        return request_id not in self._applied
