"""How many runs of a backfill are in hand at once. Pure."""

from croncord.model import Run
from croncord.raft.state import ClusterState


class BackfillTurns:
    """Counts what each backfill has in hand, with what this plan starts."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._in_hand: dict[tuple[str, str], set[str]] = {}
        """Per job and backfill: two jobs may use one name."""

    def has_turn(self, run: Run) -> bool:
        """Whether one more run of its backfill may start."""
        return len(self._of(run) - {run.id}) < run.max_parallel

    def start(self, run: Run) -> None:
        """Note that the run is assigned."""
        if run.backfill:
            self._of(run).add(run.id)

    def _of(self, run: Run) -> set[str]:
        key = (run.job_id, run.backfill)
        if key not in self._in_hand:
            self._in_hand[key] = {
                other.id
                for other in self._state.runs_of_job(run.job_id)
                if other.backfill == run.backfill and other.is_active
            }
        return self._in_hand[key]
