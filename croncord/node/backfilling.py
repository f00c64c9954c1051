"""How many runs of a backfill are in hand at once. Pure."""

from croncord.model import Run
from croncord.raft.state import ClusterState


class BackfillTurns:
    """Counts what each backfill has in hand, with what this plan starts."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._in_hand: dict[str, set[str]] = {}

    def has_turn(self, run: Run) -> bool:
        """Whether one more run of its backfill may start."""
        return len(self._of(run) - {run.id}) < run.max_parallel

    def start(self, run: Run) -> None:
        """Note that the run is assigned."""
        if run.backfill:
            self._of(run).add(run.id)

    def _of(self, run: Run) -> set[str]:
        if run.backfill not in self._in_hand:
            self._in_hand[run.backfill] = {
                other.id
                for other in self._state.runs_of_job(run.job_id)
                if other.backfill == run.backfill and other.is_active
            }
        return self._in_hand[run.backfill]
