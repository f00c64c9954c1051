"""The rules between jobs, checked over a whole story: locks, dependents, backfills, rows per node."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from cluster_machine import Witness
from cluster_telling import seconds, told

from croncord.lifecycle import RunState, Trigger
from croncord.model import Run
from croncord.raft.commands import Backfill

Found = Iterator[tuple[str, str]]


def locks_are_not_shared(story) -> Found:
    """Processes that hold one lock at the same time, as the scripts saw it."""
    account = story.world.account
    holders: dict[str, list[tuple[Witness, int]]] = defaultdict(list)
    for witness in sorted(story.world.witnesses, key=lambda w: w.began):
        run = account.seen.get(witness.key.run_id)
        if run is None or was_lost(account, run):
            continue  # what was given up holds nothing any more, though its process may live on
        for lock in account.definition_of(run).locks:
            name, _, places = lock.partition(":")
            alive = [(w, n) for w, n in holders[name] if w.ended is None or w.ended > witness.began]
            alive.append((witness, int(places or 1)))
            if len(alive) > min(n for _, n in alive):
                yield "lock", f"{name}: {[told(w) for w, _ in alive]}"
            holders[name] = alive


def was_lost(account, run: Run) -> bool:
    """Whether a run was given up at any time."""
    rows = account.rows.get(run.id, ())
    return run.id in account.given_up or RunState.LOST in {row.state for row in rows}


def dependents_follow_from_an_end(story) -> Found:
    account = story.world.account
    made: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in account.seen.values():
        if run.trigger is Trigger.AFTER:
            made[run.upstream, run.job_id].append(run)
    for key, runs in made.items():
        if key not in account.dependents.wanted:
            yield "extra", f"it follows from no end: {told(runs[0])}"
        targets = [run.target for run in runs]
        if len(set(targets)) != len(targets) or len(runs) not in {run.shard_count for run in runs}:
            yield "double", f"{key} has rows {[told(run) for run in runs]}"


def backfills_make_what_was_asked_for(story) -> Found:
    account = story.world.account
    asked: dict[tuple[str, str], set] = {}
    for each in account.applied:
        if isinstance(each.command, Backfill) and each.outcome.refusal is None:
            key = (each.command.job_id, each.command.backfill_id)
            asked.setdefault(key, set()).update(each.command.ticks)
    made: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in account.seen.values():
        if run.trigger is Trigger.BACKFILL:
            made[run.job_id, run.backfill].append(run)
    for key in asked.keys() | made.keys():
        wanted, rows = asked.get(key, set()), made.get(key, [])
        if {run.nominal_time for run in rows} != wanted:
            yield (
                "unexplained",
                f"backfill {key}: asked for {sorted(wanted)}, made {len(rows)} rows",
            )
        for (tick, target), count in Counter((r.nominal_time, r.target) for r in rows).items():
            if count > 1:
                yield "double", f"backfill {key} has {count} rows for {tick} {target}"


def one_shots_are_consumed_once(story) -> Found:
    """`@at` is due once, whatever failed then."""
    account = story.world.account
    for timing in account.timings:
        if len(timing.spec.schedule) != 1 or not timing.spec.schedule[0].startswith("@at "):
            continue
        until = timing.closes
        runs = [
            run
            for run in account.seen.values()
            if run.job_id == timing.job_id and run.trigger in (Trigger.SCHEDULE, Trigger.CATCH_UP)
            if run.nominal_time > timing.opens and (until is None or run.nominal_time <= until)
            # A clock that is a little off has an edit happen before the ticks that follow from it.
            if account.definition_of(run).schedule == timing.spec.schedule
        ]
        if len({seconds(run.nominal_time) for run in runs}) > 1:
            yield "double", f"{timing.spec.schedule} was due at {[told(run) for run in runs]}"


RULES = (
    locks_are_not_shared,
    dependents_follow_from_an_end,
    backfills_make_what_was_asked_for,
    one_shots_are_consumed_once,
)
