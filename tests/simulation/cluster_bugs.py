"""Bugs to be found: each replaces one piece of the product while a story is played.

They are the mistakes of our family of programs. A verifier that finds none of them checks nothing.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from cluster_loop import LIFE
from cluster_machine import SimulatedRunner

from croncord.errors import CronCordError
from croncord.lifecycle import RunState
from croncord.node import agent, result_desk, starter, ticking, waiting
from croncord.node.agent_journal import Note
from croncord.raft import applier, apply, jobs_apply, runs_apply
from croncord.raft.commands import AssignRuns, ClaimRuns, DecideTicks, FinishRuns

Patch = Callable[[object, str, object], None]


@dataclass(frozen=True)
class Bug:
    """A planted bug."""

    name: str
    kinds: frozenset[str]
    """The verdicts that tell it."""
    plant: Callable[[Patch], None]
    about: str


BUGS: dict[str, Bug] = {}


def bug(*kinds: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a bug under its function's name."""

    def register(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        BUGS[plant.__name__] = Bug(plant.__name__, frozenset(kinds), plant, plant.__doc__)
        return plant

    return register


@contextlib.contextmanager
def planted(name: str) -> Iterator[Bug]:
    """Have a bug in the product for a while."""
    undo: list[tuple[object, str, object]] = []

    def patch(owner: object, attribute: str, replacement: object) -> None:
        undo.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, replacement)

    try:
        BUGS[name].plant(patch)
        yield BUGS[name]
    finally:
        for owner, attribute, original in reversed(undo):
            setattr(owner, attribute, original)


def handle(patch: Patch, kind: type, handler) -> None:
    """Apply one kind of command in another way."""
    original = applier.apply

    def apply_(state, command):
        return handler(state, command) if type(command) is kind else original(state, command)

    patch(applier, "apply", apply_)


@bug("unclaimed")
def launch_before_commit(patch: Patch) -> None:
    """A node starts what is assigned to it and proposes its claim meanwhile."""
    claim = agent.Agent._claim

    async def hasty(self, keys) -> None:
        await self._journal.write(Note.CLAIMING, keys)
        for key in keys:
            if key not in self._in_hand:
                self._take_in_hand(key, self._judge(key))
        await claim(self, keys)

    patch(agent.Agent, "_claim", hasty)


@bug("unclaimed")
def unknown_outcome_taken_for_a_claim(patch: Patch) -> None:
    """A claim that was not confirmed counts as one."""
    claim = agent.Agent._claim

    async def hopeful(self, keys) -> None:
        await claim(self, keys)
        for key in keys:
            run = self._replica.state.open_runs.get(key.run_id)
            if run is not None and run.state is RunState.PENDING and key not in self._in_hand:
                self._take_in_hand(key, self._judge(key))

    patch(agent.Agent, "_claim", hopeful)


@bug("double", "unclaimed", "ledger-lie")
def claim_accepted_after_reassign(patch: Patch) -> None:
    """Whoever claims an open run gets it."""

    def generous(state, command):
        for claim in command.claims:
            run = state.open_runs.get(claim.run_id)
            if run is not None and run.attempt == claim.attempt:
                state.put_run(
                    msgspec.structs.replace(run, node=command.node, state=RunState.PENDING)
                )
        return runs_apply.claim_runs(state, command)

    handle(patch, ClaimRuns, generous)


@bug("identity", "double", "unexplained", "inconsistent")
def lock_by_job_name(patch: Patch) -> None:
    """The identity of a launch is the job, not the job and its tick."""
    epoch = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    name = ticking.run_id
    patch(ticking, "run_id", lambda job_id, _tick, **more: name(job_id, epoch, **more))


@bug("unexplained")
def next_from_now_after_failover(patch: Patch) -> None:
    """A new leader schedules from now on; what was due before is forgotten."""
    decide = ticking._Ticking.decide

    def forgetful(self, until):
        made = decide(self, until)
        newest = self._lateness.now - timedelta(seconds=3)
        kept = tuple(each for each in made.decisions if each.nominal_time > newest)
        return msgspec.structs.replace(made, decisions=kept or made.decisions[-1:])

    patch(ticking._Ticking, "decide", forgetful)


@bug("no-recovery", "ledger-lie")
def forgotten_open_runs(patch: Patch) -> None:
    """A restarted node does not ask what became of the runs it had claimed."""

    async def shrugs(self, key):
        if self._journal.note(key) is Note.CLAIMING:
            return await self._starter.start(key) or await self._follow(key)
        return await self._clock.sleep(1e6)

    async def finds_nothing(self):
        self._machine.take_orders()
        return []

    patch(agent.Agent, "_judge", shrugs)
    patch(SimulatedRunner, "start", finds_nothing)


@bug("diverged")
def wall_clock_in_apply(patch: Patch) -> None:
    """Applying a result stamps it with the time of whoever applies it."""

    def stamped(state, command):
        life = LIFE.get()
        late = timedelta(milliseconds=0 if life is None else 1 + sum(life.name.encode()) % 50)
        results = tuple(
            msgspec.structs.replace(each, finished_at=each.finished_at + late)
            for each in command.results
        )
        return runs_apply.finish_runs(state, msgspec.structs.replace(command, results=results))

    handle(patch, FinishRuns, stamped)


@bug("diverged", "broken")
def restore_that_merges(patch: Patch) -> None:
    """A snapshot is added to what a node has instead of replacing it."""
    restore = applier.Applier.restore

    def merges(self, index, restored) -> None:
        old = self.state
        restore(self, index, restored)
        for run in old.open_runs.values():
            if self.state.run(run.id) is None and run.job_id in self.state.versions:
                self.state.put_run(run)

    patch(applier.Applier, "restore", merges)


@bug("double", "overlap")
def reassign_of_a_claimed_run(patch: Patch) -> None:
    """A silent node's runs go elsewhere, also those it has claimed."""
    rescue = waiting.Waiting._rescue

    def eager(self, name) -> None:
        rescue(self, name)
        for run in self._state.runs_of_node(name):
            if run.state is RunState.RUNNING and run.id not in self._concluded:
                self._place(run)

    def lenient(state, command):
        for assignment in command.assignments:
            run = state.open_runs.get(assignment.run_id)
            if run is not None and run.state is RunState.RUNNING:
                state.put_run(msgspec.structs.replace(run, state=RunState.PENDING))
        return runs_apply.assign_runs(state, command)

    patch(waiting.Waiting, "_rescue", eager)
    handle(patch, AssignRuns, lenient)


@bug("no-recovery", "ledger-lie")
def result_lost_during_election(patch: Patch) -> None:
    """A result that cannot be agreed now is dropped."""

    async def careless(self) -> None:
        while True:
            await self._arrived.wait()
            batch = tuple(self._results[: result_desk.BATCH])
            command = FinishRuns(at=self._leader_now(), node=self._name, results=batch)
            with contextlib.suppress(CronCordError):
                await self._replica.propose(command, timeout_seconds=1.0)
            await self._on_agreed(batch)
            del self._results[: len(batch)]
            if not self._results:
                self._arrived.clear()

    patch(result_desk.ResultDesk, "run", careless)


@bug("stale-term")
def decisions_of_an_old_term_count(patch: Patch) -> None:
    """Who led once may decide for ever."""
    patch(runs_apply, "outdated", lambda _state, _command: None)


@bug("unkilled")
def kill_forgotten_on_restart(patch: Patch) -> None:
    """A node acts on kills that it hears of, not on those that were asked for while it was away."""
    run, end = agent.Agent.run, agent.Agent._end

    async def born(self) -> None:
        self.born = self._leader_now()
        await run(self)

    def deaf(self, key, grace_seconds, *, report) -> None:
        asked = self._replica.state.open_runs.get(key.run_id)
        if asked is None or asked.kill is None or asked.kill.requested_at > self.born:
            end(self, key, grace_seconds, report=report)

    patch(agent.Agent, "run", born)
    patch(agent.Agent, "_end", deaf)


@bug("ledger-lie", "unkilled", "double")
def late_result_overwrites_a_retry(patch: Patch) -> None:
    """A result is taken for the attempt that runs now, whichever it tells of."""

    def sloppy(state, command):
        results = []
        for each in command.results:
            run = state.open_runs.get(each.run_id)
            if run is not None and run.state is RunState.RUNNING:
                each = msgspec.structs.replace(each, attempt=run.attempt)  # noqa: PLW2901
                state.put_run(msgspec.structs.replace(run, node=command.node))
            results.append(each)
        changed = msgspec.structs.replace(command, results=tuple(results))
        return runs_apply.finish_runs(state, changed)

    handle(patch, FinishRuns, sloppy)


@bug("identity")
def run_ids_by_chance(patch: Patch) -> None:
    """Each leader names a run as it likes."""
    rng = random.Random(1)
    patch(ticking, "run_id", lambda *_args, **_more: rng.randbytes(12).hex())


@bug("unexplained")
def ticks_beyond_the_batch_are_dropped(patch: Patch) -> None:
    """When more is due than fits in one decision, the rest is forgotten."""
    decide = ticking._Ticking.decide

    def hurried(self, until):
        made = decide(self, until)
        tick = made.next_due
        schedule = ticking.ticks_after(self._job.spec, self._job.id, self._job.anchor, until)
        if tick is not None and tick <= until:
            made = msgspec.structs.replace(made, next_due=next(schedule))
        return made

    patch(ticking, "TICKS_PER_JOB", 2)
    patch(ticking._Ticking, "decide", hurried)


@bug("late")
def catch_up_outside_the_window(patch: Patch) -> None:
    """However late a tick is, it is caught up."""
    caught_up = ticking.caught_up

    def eager(misfire, *arguments):
        wide = msgspec.structs.replace(misfire, window_seconds=86400)
        return caught_up(wide, *arguments)

    patch(ticking, "caught_up", eager)


@bug("ledger-lie")
def lost_stays_lost(patch: Patch) -> None:
    """The truth about a run that was given up is not taken any more."""

    def deaf(state, command):
        kept = tuple(r for r in command.results if r.run_id not in state.lost)
        return runs_apply.finish_runs(state, msgspec.structs.replace(command, results=kept))

    handle(patch, FinishRuns, deaf)


@bug("overlap")
def overlap_is_not_looked_at(patch: Patch) -> None:
    """A tick starts whatever still runs."""
    patch(ticking._Ticking, "_overlap", lambda *_arguments: True)
    patch(runs_apply, "in_the_way", lambda *_arguments: "")


@bug("ghost")
def pause_leaves_what_was_decided(patch: Patch) -> None:
    """A pause concerns future ticks only."""
    patch(jobs_apply, "skip_when_paused", lambda *_arguments: [])


@bug("early")
def start_before_the_instant(patch: Patch) -> None:
    """What is claimed starts at once."""

    async def impatient(self, key):
        return self._current(key)

    patch(starter.Starter, "_wait_until_due", impatient)
    patch(starter.Starter, "_instant_of", lambda *_: 0.0)


@bug("double")
def retry_without_end(patch: Patch) -> None:
    """What failed is tried again, however often it was."""
    patch(runs_apply, "retry_delay_seconds", lambda *_arguments: 5.0)


@bug("double")
def lost_is_launched_again(patch: Patch) -> None:
    """At most once is treated like at least once."""
    next_attempt = runs_apply._next_attempt_in

    def again(state, run):
        is_open = run.id in state.open_runs and run.job_id in state.jobs
        if run.state is RunState.LOST and is_open:
            return 0.0
        return next_attempt(state, run)

    patch(runs_apply, "_next_attempt_in", again)


@bug("unexplained")
def skipped_ticks_leave_no_row(patch: Patch) -> None:
    """What is not launched is not written down."""

    def silent(state, command):
        jobs = tuple(
            msgspec.structs.replace(
                batch,
                decisions=tuple(d for d in batch.decisions if d.state is RunState.PENDING)
                or batch.decisions[:1],
            )
            for batch in command.jobs
        )
        outcome = apply.apply(state, msgspec.structs.replace(command, jobs=jobs))
        return msgspec.structs.replace(outcome, rows=())

    handle(patch, DecideTicks, silent)


@bug("ghost")
def pause_is_not_seen_by_decisions_under_way(patch: Patch) -> None:
    """A decision made before a pause still launches after it. Ours once: seeds 2, 6, 22."""
    patch(runs_apply, "_is_overtaken", lambda *_arguments: False)
