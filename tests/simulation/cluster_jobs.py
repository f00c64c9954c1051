"""Random definitions of jobs and calendars: every rule of the ledger turns up in some of them."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from croncord.model import (
    CalendarSpec,
    Dependency,
    JobSpec,
    Misfire,
    Period,
    Retries,
    Target,
)

OVERLAPS = ("skip", "queue_one", "queue_all", "replace", "allow")
CALENDARS = ("holiday", "office")
LOCKS = ("db", "db:2", "tape", "tape:3", "disk")
LABEL = "zone=b"
"""The label that may be limited."""


class JobMaker:
    """Draws definitions. What is `narrowed` to some values of a field takes no other."""

    def __init__(
        self,
        rng: random.Random,
        slowest_seconds: int = 300,
        narrowed: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        self._rng = rng
        self._slowest = slowest_seconds
        self._narrowed = narrowed or {}

    def spec(self, name: str, now: datetime, nodes: list[str], jobs: list[str]) -> JobSpec:
        """Draw a job; `nodes` and `jobs` are what there is to name."""
        rng = self._rng
        seconds = rng.choice([0.0, 0.5, 0.5, 2.0, 5.0, 20.0, 70.0, 300.0])
        fail_percent = rng.choice([0, 0, 30, 100])
        term = rng.choice([0.0, 0.0, 1.0, 100.0])
        schedule = self._schedule(now)
        drawn = JobSpec(
            name=name,
            script=f"play {seconds} {fail_percent} {term}",
            schedule=schedule,
            start_at=now + timedelta(seconds=rng.randint(-30, 60)) if self._odds(0.1) else None,
            end_at=now + timedelta(seconds=rng.randint(60, 240)) if self._odds(0.1) else None,
            overlap=rng.choice(OVERLAPS),
            misfire=self._misfire(),
            delivery=rng.choice(["at_most_once", "at_least_once"]),
            retries=Retries(
                count=rng.choice([0, 0, 1, 3]),
                delay_seconds=rng.choice([0, 1, 10]),
                backoff=rng.choice([1.0, 2.0]),
                other_node=self._odds(0.3),
            ),
            timeout_seconds=rng.choice([None, None, 3, 30]),
            kill_grace_seconds=rng.choice([0, 2, 10]),
            jitter_seconds=rng.choice([0, 0, 0, 5]),
            target=self._target(nodes),
            pause_after_failures=rng.choice([1, 2, 4]) if self._odds(0.15) else None,
            after=self._after(name, jobs),
            calendars=tuple(rng.sample(CALENDARS, rng.choice([1, 1, 2])))
            if self._odds(0.2)
            else (),
            locks=self._locks(),
        )
        narrowed = {field: rng.choice(values) for field, values in self._narrowed.items()}
        return msgspec.structs.replace(drawn, **narrowed)

    def calendar(self, name: str, now: datetime) -> CalendarSpec:
        """Draw what a calendar says: spans of time around now, in one of its two forms."""
        rng = self._rng
        begins = [now + timedelta(seconds=rng.randint(-20, 240)) for _ in range(rng.randint(1, 4))]
        if self._odds(0.5):
            spans = tuple(f"{b:%H:%M}-{b + timedelta(minutes=2):%H:%M}" for b in begins)
            return CalendarSpec(name=name, kind=self._kind(), times=spans)
        periods = tuple(
            Period(start=begin, end=begin + timedelta(seconds=rng.randint(5, 60)))
            for begin in begins
        )
        return CalendarSpec(name=name, kind=self._kind(), periods=periods)

    def _kind(self) -> str:
        return "allowed" if self._odds(0.2) else "blackout"

    def _odds(self, chance: float) -> bool:
        return self._rng.random() < chance

    def _schedule(self, now: datetime) -> tuple[str, ...]:
        rng = self._rng
        every = rng.choice(
            [s for s in (1, 2, 3, 5, 10, 15, 30, 60, 120, 300) if s <= self._slowest]
        )
        first = rng.choice(
            [
                f"@every {every}s",
                f"@every {every}s",
                f"*/{every} * * * * *" if every < 60 else f"0 */{every // 60} * * * *",
                "* * * * *" if self._slowest >= 60 else "*/7 * * * * *",
                "@manual" if self._odds(0.5) else "*/20 * * * * *",
            ]
        )
        if self._odds(0.1):
            once = (now + timedelta(seconds=rng.randint(2, 200))).replace(microsecond=0)
            first = f"@at {once:%Y-%m-%dT%H:%M:%S}Z"
        if first != "@manual" and self._odds(0.15):
            second = rng.choice(["*/12 * * * * *", "H/30 * * * * *", "@every 7s", "* * * * *"])
            return (first, second)
        return (first,)

    def _misfire(self) -> Misfire:
        rng = self._rng
        return Misfire(
            policy=rng.choice(["skip", "run_once", "run_all"]),
            window_seconds=rng.choice([20, 60, 600]),
            max_runs=rng.choice([None, None, 2, 10]),
            per_minute=rng.choice([None, None, 6, 60]),
        )

    def _target(self, nodes: list[str]) -> Target:
        rng = self._rng
        return Target(
            nodes=tuple(sorted(rng.sample(nodes, 2))) if self._odds(0.2) else (),
            labels={"zone": "b"} if self._odds(0.1) else {},
            strategy=rng.choice(["least_loaded", "spread", "hash", "random"]),
            every_node=self._odds(0.15),
            on_join=self._odds(0.1),
        )

    def _after(self, name: str, jobs: list[str]) -> tuple[Dependency, ...]:
        rng = self._rng
        others = [job for job in jobs if job != name]
        if not others or not self._odds(0.25):
            return ()
        chosen = rng.sample(others, min(len(others), rng.choice([1, 1, 2])))
        return tuple(
            Dependency(job=job, on=rng.choice(["success", "failure", "always"])) for job in chosen
        )

    def _locks(self) -> tuple[str, ...]:
        if not self._odds(0.25):
            return ()
        chosen = self._rng.sample(LOCKS, self._rng.choice([1, 1, 2]))
        by_name = {lock.partition(":")[0]: lock for lock in chosen}
        return tuple(sorted(by_name.values()))
