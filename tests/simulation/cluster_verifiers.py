"""The promises, checked over a whole story from what the scripts and the world saw.

Names as in Jepsen's checkers and our own list: unexplained, double, extra, early, late, overlap,
ghost, unkilled, lost-ack, diverged, ledger-lie, no-recovery.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from cluster_account import Timing, Verdict
from cluster_machine import Witness
from cluster_questions import (
    by_run,
    clocks_differ,
    excludes_nodes,
    is_limited,
    jumped,
    key,
    matching,
    scheduled_rows,
)
from cluster_rules import RULES, was_lost
from cluster_telling import EPOCH, seconds, told
from cluster_watch import is_tick, tick_identity
from cluster_world import Violation
from cluster_world import later_than as _later_than

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Run
from croncord.raft.commands import (
    DeleteJob,
    PauseCluster,
    PauseJob,
    encode_command,
)
from croncord.schedule import compile_all

LATE_AFTER_SECONDS = 30.0
QUIET_SECONDS = 15.0
"""What was due so shortly before the end need not be settled."""
PROMPT_SECONDS = 3.0
_NEVER_RAN = frozenset({RunState.SKIPPED, RunState.MISSED})
_BY_RULE = frozenset(
    {
        Reason.OVERLAP,
        Reason.QUEUE_FULL,
        Reason.REPLACED,
        Reason.CALENDAR,
        Reason.LOCK_HELD,
        Reason.PAUSED,
        Reason.DELETED,
    }
)
_ASKED_FOR = frozenset({Trigger.MANUAL, Trigger.BACKFILL})


def verify(story) -> list[Violation]:
    """Return every broken promise of a story that has ended."""
    found: list[Violation] = []
    world = story.world
    if world.broken:
        name, error = world.broken[0]
        found.append(Violation("broken", f"{name}: {error!r}"))
    found += [Violation(kind, text) for kind, text in world.account.problems]
    for check in (
        every_tick_has_one_row,
        every_process_belongs_to_a_row,
        attempts_have_a_cause,
        rows_tell_the_truth,
        reasons_are_true,
        nothing_starts_too_early_or_beyond_its_window,
        runs_do_not_overlap,
        what_is_stopped_stays_stopped,
        what_is_killed_ends,
        what_was_acknowledged_is_there,
        all_copies_agree,
        scheduling_is_back,
        nothing_is_forgotten,
        *RULES,
    ):
        found += [Violation(kind, text) for kind, text in check(story)]
    return found


Found = Iterator[tuple[str, str]]


def due_ticks(timing: Timing, until: datetime) -> list[datetime]:
    """Nominal times of one stretch of a job's life, straight from the schedule."""
    spec = timing.spec
    schedule = compile_all(
        spec.schedule, spec.timezone, spec.dst, anchor=timing.anchor, hash_key=timing.job_id
    )
    ticks = []
    for tick in schedule.iterate(timing.opens):
        if tick > until or (spec.end_at is not None and tick >= spec.end_at):
            break
        if spec.start_at is None or tick >= spec.start_at:
            ticks.append(tick)
    return ticks


def every_tick_has_one_row(story) -> Found:
    rows = scheduled_rows(story)
    end = _later_than(EPOCH, story.ends_at)
    ahead = timedelta(hours=2) if jumped(story) else timedelta(seconds=5)
    allowed: set[tuple[str, datetime]] = set()
    for timing in story.world.account.timings:
        closes = timing.closes or end
        due_until = min(timing.closes or end, end - timedelta(seconds=QUIET_SECONDS))
        for tick in due_ticks(timing, closes + ahead):
            allowed.add((timing.job_id, tick))
            if tick <= due_until and not rows.get((timing.job_id, tick)):
                yield "unexplained", f"{timing.job_id} {timing.spec.schedule} has no row for {tick}"
    for (job_id, tick), runs in rows.items():
        if (job_id, tick) not in allowed:
            yield "extra", f"{job_id} has a row for {tick}, which was never due: {told(runs[0])}"
        targets = [run.target for run in runs]
        if len(set(targets)) != len(targets):
            yield "double", f"{job_id} has two rows for {tick}: {[told(run) for run in runs]}"
        if len(runs) not in {run.shard_count for run in runs}:
            yield "unexplained", f"{job_id} at {tick}: {len(runs)} rows, not one for each node"
        for run in runs:
            if not tick_identity(job_id, run):
                yield "identity", f"{run.id} is not the name of its tick"


def every_process_belongs_to_a_row(story) -> Found:
    seen = story.world.account.seen
    keys = set()
    for witness in story.world.witnesses:
        if witness.key in keys:
            yield "double", f"an attempt began twice: {told(witness)}"
        keys.add(witness.key)
        run = seen.get(witness.key.run_id)
        if run is None:
            yield "ledger-lie", f"a process without a row: {told(witness)}"
        elif run.state in _NEVER_RAN and witness.key.attempt == run.attempt:
            yield "ledger-lie", f"{run.state} {run.reason}, and it ran: {told(witness)}"


def attempts_have_a_cause(story) -> Found:
    account = story.world.account
    for run_id_, witnesses in by_run(story).items():
        run = account.seen.get(run_id_)
        if run is None:
            continue
        spec = account.definition_of(run)
        failed = 0
        for attempt in run.attempts:
            lost = attempt.state is RunState.LOST
            failed += not lost
            if lost and spec.delivery == "at_most_once":
                yield "double", f"launched again after it was lost: {told(run)}"
            if not lost and failed > spec.retries.count:
                yield "double", f"launched again with {spec.retries}: {told(run)}"
        causes = {attempt.number: attempt for attempt in run.attempts}
        for earlier, later in pairwise(witnesses):
            cause = causes.get(earlier.key.attempt)
            if cause is None:
                yield (
                    "double",
                    f"two processes without a recorded cause: {told(earlier)} {told(later)}",
                )
            elif cause.state is not RunState.LOST and (earlier.ended or 1e9) > later.began:
                yield "double", f"the attempt before had not ended: {told(earlier)} {told(later)}"
            if later.fence <= earlier.fence:
                yield "fence", f"it did not grow: {told(earlier)} {told(later)}"


def rows_tell_the_truth(story) -> Found:
    world = story.world
    processes = {witness.key: witness for witness in world.witnesses}
    for run in world.account.seen.values():
        if run.is_open:
            continue
        witness = processes.get(key(run))
        how = witness.how if witness else "nothing"
        expected = {
            RunState.SUCCEEDED: ("exited 0",),
            RunState.FAILED: ("nothing",) if run.reason is Reason.START_FAILED else ("exited 3",),
            RunState.TIMED_OUT: ("timed_out",),
            RunState.KILLED: ("killed", "nothing"),
        }.get(run.state)
        if expected is not None and how not in expected:
            yield "ledger-lie", f"{run.state}, and what happened is {how}: {told(run)}"
        if witness and run.state not in _NEVER_RAN and witness.node != run.node:
            yield "ledger-lie", f"it ran on {witness.node}: {told(run)}"
        is_known = run.node in world.nodes and how.startswith("exited")
        if run.state is RunState.LOST and is_known and witness.ended < story.ends_at - 30:
            yield "ledger-lie", f"its node knows that it {how}: {told(run)}"


def reasons_are_true(story) -> Found:
    for verdict in story.world.account.verdicts:
        wrong = _what_is_wrong(story, verdict)
        if wrong:
            row = verdict.row
            yield "ledger-lie", f"{row.state} {row.reason}, but {wrong}: {told(row)}"
    for run in story.world.account.seen.values():
        late = (run.decided_at - run.nominal_time).total_seconds()
        if run.trigger is Trigger.CATCH_UP and run.state not in _NEVER_RAN:
            misfire = story.world.account.definition_of(run).misfire
            if misfire.policy == "skip" or late > misfire.window_seconds:
                yield "late", f"caught up against {misfire}: {told(run)}"
        elif run.trigger is Trigger.SCHEDULE and run.state not in _NEVER_RAN:  # noqa: SIM102 - reads best
            if late > LATE_AFTER_SECONDS + 0.001:
                yield "late", f"decided {late:.1f} s late as if in time: {told(run)}"


def _what_is_wrong(story, verdict: Verdict) -> str:  # noqa: C901, PLR0911, PLR0912 - one case per reason
    row, command = verdict.row, verdict.command
    job = verdict.job
    spec = story.world.account.definition_of(row)
    lane = [o for o in verdict.others if not spec.target.every_node or o.target == row.target]
    late = (verdict.at - row.nominal_time).total_seconds()
    in_window = late <= spec.misfire.window_seconds
    same = [run for run in _decided_with(story, verdict) if run.id != row.id]
    match row.reason:
        case Reason.OVERLAP if not lane and not same:
            return "nothing else was open"
        case Reason.QUEUE_FULL if not lane and not same:
            return "nothing waited"
        case Reason.REPLACED if not any(other.id > row.id for other in lane):
            return "nothing newer waited"
        case Reason.PAUSED if not (verdict.paused or isinstance(command, PauseJob)):
            return "the job was not paused"
        case Reason.CLUSTER_PAUSED if not (
            verdict.cluster_paused or isinstance(command, PauseCluster)
        ):
            return "the cluster was not paused"
        case Reason.DELETED if job is not None and not isinstance(command, DeleteJob):
            return "the job was there"
        case Reason.LATE | Reason.NO_QUORUM if late <= LATE_AFTER_SECONDS:
            return "it was not late"
        case Reason.LATE | Reason.NO_QUORUM if _catches_all(spec.misfire) and in_window:
            return "it was to be caught up"
        case Reason.NODE_DOWN if row.target in verdict.up and not excludes_nodes(story):
            return f"{row.target} was up"
        case Reason.NO_TARGET if matching(story, spec, row.target):
            return "nodes match"
        case Reason.NO_CAPACITY if not is_limited(story):
            return "there is no limit"
        case Reason.CALENDAR if not spec.calendars:
            return "it has no calendar"
        case Reason.LOCK_HELD if not spec.locks:
            return "it needs no lock"
        case Reason.DEPENDENCY_FAILED if not row.upstream:
            return "it follows from nothing"
    return ""


def _catches_all(misfire) -> bool:
    return misfire.policy == "run_all" and misfire.max_runs is None


def _decided_with(story, verdict: Verdict) -> list[Run]:
    """Runs of the same job that the same command decided."""
    batches = getattr(verdict.command, "jobs", ())
    ids = {d.run_id for batch in batches for d in batch.decisions}
    seen = story.world.account.seen
    runs = (seen[each] for each in ids if each in seen)
    return [r for r in runs if r.job_id == verdict.row.job_id and r.target == verdict.row.target]


def nothing_starts_too_early_or_beyond_its_window(story) -> Found:
    if jumped(story):
        return
    account = story.world.account
    early = 3.5 if clocks_differ(story) else 1.0 if "chaos" in story.plan.faults else 0.3
    for witness in story.world.witnesses:
        run = account.seen.get(witness.key.run_id)
        if run is None or run.attempt != witness.key.attempt:
            continue
        if witness.began < seconds(run.due_at) - early:
            lead = seconds(run.due_at) - witness.began
            yield "early", f"began {lead:.2f} s before it was due: {told(witness)} {told(run)}"
        spec = account.definition_of(run)
        is_prompt = is_tick(run) and run.attempt == 1 and not spec.locks
        if is_prompt and spec.overlap in ("skip", "allow"):
            late = witness.began - seconds(max(run.due_at, run.assigned_at or run.due_at))
            waited = seconds(run.assigned_at or run.due_at) - seconds(run.due_at)
            window = max(spec.misfire.window_seconds, LATE_AFTER_SECONDS) + 10
            # A tick may be decided a little late and then get another node within its window.
            if late > window or waited > window + LATE_AFTER_SECONDS:
                yield (
                    "late",
                    f"began {late:.0f} s after it might, {waited:.0f} s waited with {spec.misfire}: {told(witness)} {told(run)}",
                )


def runs_do_not_overlap(story) -> Found:
    account = story.world.account
    of_job: dict[str, list[Witness]] = defaultdict(list)
    for witness in sorted(story.world.witnesses, key=lambda w: w.began):
        of_job[witness.job_id].append(witness)
    for witnesses in of_job.values():
        alive: list[Witness] = []
        for later in witnesses:
            alive = [w for w in alive if w.ended is None or w.ended > later.began]
            run = account.seen.get(later.key.run_id)
            if run is not None:
                spec = account.definition_of(run)
                for earlier in alive:
                    if spec.overlap != "allow" and _shares_lane(account, spec, earlier, run):
                        yield "overlap", f"{spec.overlap}: {told(earlier)} and {told(later)}"
            alive.append(later)


def _shares_lane(account, spec, earlier: Witness, run: Run) -> bool:
    other = account.seen.get(earlier.key.run_id)
    if other is None or other.id == run.id:
        return False
    other_spec = account.definition_of(other)
    kinds = {(s.target.every_node, s.target.on_join) for s in (spec, other_spec)}
    if other_spec.overlap == "allow" or len(kinds) > 1:
        return False  # an edit in between changed what may overlap
    per_node = spec.target.every_node or spec.target.on_join
    if per_node and other.target != run.target:
        return False
    if Trigger.BACKFILL in (run.trigger, other.trigger):
        return False  # a backfill has a limit of its own
    return not was_lost(account, other)


def what_is_stopped_stays_stopped(story) -> Found:
    account = story.world.account
    for witness in story.world.witnesses:
        claimed = account.claimed_index.get(witness.key)
        run = account.seen.get(witness.key.run_id)
        if claimed is None or run is None:
            continue
        for job_id in (witness.job_id, ""):
            said = "resumed"
            for at, what in account.stopped.get(job_id, ()):
                if at <= claimed:
                    said = what
            ghost = said == "deleted" or (said == "paused" and run.trigger not in _ASKED_FOR)
            if ghost:
                yield "ghost", f"claimed after its job was {said}: {told(witness)}"


def what_is_killed_ends(story) -> Found:
    world = story.world
    processes = by_run(story)
    for run_id_, asked in world.account.kills.items():
        run = world.account.seen[run_id_]
        grace = run.kill.grace_seconds if run.kill else 10
        for witness in processes.get(run_id_, ()):
            if witness.node not in world.nodes:
                continue
            since = max(asked, witness.began, story.healed_at if asked < story.healed_at else 0)
            ended = witness.ended if witness.ended is not None else story.ends_at
            if ended > since + grace + 15:
                yield "unkilled", f"asked at {asked:.1f}: {told(witness)} {told(run)}"
    for witness in world.witnesses:
        run = world.account.seen.get(witness.key.run_id)
        if witness.ended is not None or run is None or witness.node not in world.nodes:
            continue
        is_current = run.attempt == witness.key.attempt and run.is_open
        if not is_current and run.state is not RunState.LOST:
            since = max(story.healed_at, witness.began)
            if story.ends_at > since + 40:
                yield (
                    "unkilled",
                    f"nobody wants it any more and it runs: {told(witness)} {told(run)}",
                )


def what_was_acknowledged_is_there(story) -> Found:
    applied: dict[bytes, list] = defaultdict(list)
    for each in story.world.account.applied:
        applied[encode_command(each.command)].append(each)
    asked = Counter(encode_command(c.command) for c in story.people.calls if c.command)
    for call in story.people.calls:
        if call.command is None or asked[encode_command(call.command)] > 1:
            continue
        copies = applied.get(encode_command(call.command), ())
        took_effect = [each for each in copies if each.outcome.refusal is None]
        if call.result == "ok" and not took_effect:
            yield "lost-ack", f"acknowledged and not there: {call}"
        if call.result == "fail" and took_effect:
            yield "lost-ack", f"said to have failed, and it took effect: {call}"


def all_copies_agree(story) -> Found:
    account = story.world.account
    settled = story.ends_at - 5
    rows: dict[str, Run] = {}
    for each in account.applied:
        if each.time < settled:
            rows.update({row.id: row for row in each.outcome.rows})
    for node in story.world.nodes.values():
        if not node.is_up:
            yield "no-recovery", f"{node.name} is not up"
            continue
        member = node.member
        if account.index - member.applied_index > 20:
            yield "no-recovery", f"{node.name} is at {member.applied_index} of {account.index}"
        elif member.state.digest() != account.digest_at(member.applied_index):
            yield "diverged", f"{node.name} at {member.applied_index}"
        try:
            member.state.check()
        except AssertionError as error:
            yield "inconsistent", f"{node.name}: {error}"
        for row in rows.values():
            mine = node.rows.get(row.id)
            if mine is None or (mine != row and account.rows[row.id][-1] != mine):
                yield "diverged", f"the ledger of {node.name} has {told(mine)}, not {told(row)}"


def scheduling_is_back(story) -> Found:
    if story.world.leader() is None:
        yield "no-recovery", "nobody leads"
    if jumped(story):
        return
    rows = scheduled_rows(story)
    processes = by_run(story)
    from cluster_story import RECOVERY_SECONDS  # noqa: PLC0415

    for (_job, tick), runs in rows.items():
        due = seconds(tick)
        if not story.healed_at + RECOVERY_SECONDS < due < story.ends_at - QUIET_SECONDS:
            continue
        for run in runs:
            wrong = _not_met(story, run, processes.get(run.id, []))
            if wrong:
                yield "no-recovery", f"{wrong}: {told(run)}"


def _not_met(story, run: Run, witnesses: list[Witness]) -> str:
    account = story.world.account
    spec = account.definition_of(run)
    if run.state is RunState.SKIPPED:
        return "" if run.reason in _BY_RULE else "skipped"
    if run.state is RunState.MISSED:
        full = run.reason is Reason.NO_CAPACITY and is_limited(story)
        return "" if run.reason is Reason.NO_TARGET or full else "missed"
    if run.state is RunState.LOST:
        return "lost"
    queues = spec.overlap in ("queue_one", "queue_all", "replace")
    if (
        queues
        or spec.locks
        or is_limited(story)
        or run.reason in (Reason.NO_TARGET, Reason.START_FAILED)
        or run.kill is not None
    ):
        return ""
    if not witnesses:
        return "no process"
    late = witnesses[0].began - seconds(run.due_at if run.attempt == 1 else run.nominal_time)
    allowed = PROMPT_SECONDS + (spec.jitter_seconds if run.attempt > 1 else 0)
    return f"{late:.1f} s late" if late > allowed else ""


def nothing_is_forgotten(story) -> Found:
    world = story.world
    state = world.account.state
    alive = {w.key for w in world.witnesses if w.ended is None}
    old = story.ends_at - 20
    for run in state.open_runs.values():
        if seconds(run.due_at) > old:
            continue
        spec = world.account.definition_of(run)
        claimed = world.account.claimed_at.get(key(run), story.ends_at)
        if run.state is RunState.RUNNING:
            ended = [w.ended for w in world.witnesses if w.key == key(run)]
            if key(run) not in alive and claimed < old and not (ended and ended[0] >= old):
                yield "no-recovery", f"open, and no process: {told(run)}"
        elif run.node in state.nodes and seconds(run.assigned_at) < old:
            yield "no-recovery", f"assigned and never claimed: {told(run)}"
        elif run.is_queued and not is_limited(story) and not _waits_for(story, run, spec):  # noqa: SIM102
            if matching(story, spec, run.target):
                yield "no-recovery", f"waits for nothing: {told(run)}"


def _waits_for(story, run: Run, spec) -> list[Run]:
    """Return the runs that a waiting one may rightly wait for."""
    state, account = story.world.account.state, story.world.account
    per_node = spec.target.every_node or spec.target.on_join
    locks = {lock.partition(":")[0] for lock in spec.locks}
    found = []
    for other in state.open_runs.values():
        if other.id == run.id:
            continue
        theirs = {lock.partition(":")[0] for lock in account.definition_of(other).locks}
        fills = Trigger.BACKFILL in (run.trigger, other.trigger)
        shares_lane = not fills and (not per_node or other.target == run.target)
        same_fill = bool(run.backfill) and other.backfill == run.backfill
        if locks & theirs or (other.job_id == run.job_id and (shares_lane or same_fill)):
            found.append(other)
    return found
