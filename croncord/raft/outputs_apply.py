"""What `CloseLogs` does: the output of an attempt whose node was lost gets a size and a digest.

As in BookKeeper (Apache), closing is a compare-and-swap of the agreed record: whoever gathered the
copies names the digest it found there, and the first one wins. Only the writer of a run that is still
lost may add to a closed output, by naming the agreed digest; once another attempt took over, or the
row has another end, what was agreed is final.
"""

import msgspec

from croncord.lifecycle import RunState
from croncord.model import Run
from croncord.raft.commands import CloseLogs, LogClosure
from croncord.raft.state import ClusterState, Outcome


def close_logs(state: ClusterState, command: CloseLogs) -> Outcome:
    """Write the outputs' size and digest into their rows; the value holds the ids that changed."""
    rows: list[Run] = []
    closed: list[str] = []
    for closure in command.closures:
        run_id = closure.run_id
        run = state.open_runs.get(run_id) or state.lost.get(run_id) or state.unclosed.get(run_id)
        changed = None if run is None or not closure.log.sha256 else _closed(run, closure)
        if changed is None:
            continue
        if changed.is_open:
            state.put_run(changed)
        else:
            state.close_run(changed)
            rows.append(changed)
        closed.append(run_id)
    return Outcome(tuple(closed), rows=tuple(rows))


def _closed(run: Run, closure: LogClosure) -> Run | None:
    if closure.attempt == run.attempt:
        is_lost = run.state is RunState.LOST and run.claimed_at is not None
        if not is_lost or run.log.sha256 != closure.expect_sha256:
            return None
        return msgspec.structs.replace(run, log=closure.log)
    attempts = tuple(
        msgspec.structs.replace(attempt, log=closure.log)
        if attempt.number == closure.attempt and attempt.lacks_log and not closure.expect_sha256
        else attempt
        for attempt in run.attempts
    )
    return None if attempts == run.attempts else msgspec.structs.replace(run, attempts=attempts)
