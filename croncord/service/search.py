"""Search over the output of many runs, the newest first: each is searched by one node that holds it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from croncord.errors import CronCordError, FieldError, Invalid
from croncord.keepers import keepers
from croncord.model import Run
from croncord.ports import LogKey, Peers, RunFilter, RunLogs, SearchAnswer, SearchHit, SearchOrder
from croncord.raft.state import ClusterState
from croncord.service.agreement import Agreement
from croncord.service.paging import check_limit
from croncord.service.runs import RunService
from croncord.service.views import Json
from croncord.service.who import Who

ROWS_AT_ONCE: Final = 100
PATTERN_CHARACTERS_MAX: Final = 500
PAGE_SECONDS: Final = 20.0
"""A page that takes longer ends; its cursor goes on."""
_CURSOR = re.compile(r"([0-9a-v]{24})\.(\d{1,5})\.(\d{1,15})")


class _Place(msgspec.Struct, frozen=True):
    """Where a page ended: at an offset of an attempt; attempt 0 is the end of all of the run."""

    run_id: str
    attempt: int
    offset: int

    def __str__(self) -> str:
        return f"{self.run_id}.{self.attempt}.{self.offset}"


class _Wanted(msgspec.Struct):
    """An output to search, and the nodes still to be asked."""

    run: Run
    key: LogKey
    holders: list[str]


class SearchService:
    """Sends a search to the nodes that hold the output, and puts the answers in order."""

    def __init__(
        self,
        agreement: Agreement,
        runs: RunService,
        logs: RunLogs,
        peers: Peers | None,
        name: str,
    ) -> None:
        self._agreement = agreement
        self._runs = runs
        self._logs = logs
        self._peers = peers
        self._name = name

    async def search(
        self,
        who: Who,
        *,
        pattern: str,
        regex: bool = False,
        job: str = "",
        node: str = "",
        run: str = "",
        stream: Literal["", "stdout", "stderr"] = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str = "",
        stale: bool = False,
    ) -> AsyncGenerator[Json, None]:
        """Yield hits, newest run first, and last a summary: `{next_cursor, runs_searched, …}`.

        `node` is the one that ran it. Raises Invalid for a pattern or cursor that makes no sense.
        """
        who.require("viewer")
        check_limit(limit)
        _check_pattern(pattern, regex=regex)
        place = _place(cursor)
        agreed = await self._agreement.read(stale=stale)
        where = RunFilter(node=node, since=since, until=until)
        search = _Search(self, agreed, SearchOrder((), pattern, regex, stream, limit))
        before = f"{place.run_id}0" if place is not None else ""
        give_up_at = self._agreement.clock.monotonic() + PAGE_SECONDS
        while True:
            if run:
                rows: Sequence[Run] = [self._runs.row(agreed, who, run)]
            else:
                rows = self._runs.rows(
                    agreed, who, where, job=job, limit=ROWS_AT_ONCE, before=before
                )
            async for hit in search.through(_outputs(rows, place), place):
                yield hit
            if search.is_full or not rows:
                break
            before, place = rows[-1].id, None
            if run or self._agreement.clock.monotonic() > give_up_at:
                search.end = None if run else _Place(before, 0, 0)
                break
        yield search.summary()

    def holders(self, agreed: ClusterState, key: LogKey, replicas: Sequence[str]) -> list[str]:
        """Return the nodes to ask, the best first; those that are down are left out."""
        names = dict.fromkeys((*replicas, *keepers(key.run_id, replicas, tuple(agreed.nodes))))
        up = [name for name in names if name in agreed.nodes and agreed.nodes[name].up]
        if self._name in names and self._logs.status(key) is not None:
            return [self._name, *(name for name in up if name != self._name)]
        # Runs of one node have the same first holder: begin elsewhere, to share the work.
        turn = hash(key.run_id) % len(up) if up else 0
        return up[turn:] + up[:turn]

    async def ask(self, name: str, order: SearchOrder) -> SearchAnswer | None:
        """Have a node search; None when it does not answer."""
        if name == self._name:
            return await self._logs.search(order)
        node = self._agreement.state.nodes.get(name)
        if node is None or self._peers is None:
            return None
        try:
            return await self._peers.log_search(node.http, order)
        except CronCordError:
            return None  # the summary names it, and another holder is asked


class _Search:
    """One page of a search as it comes together."""

    def __init__(self, service: SearchService, agreed: ClusterState, order: SearchOrder) -> None:
        self._service = service
        self._agreed = agreed
        self._order = order
        self._left = order.limit
        self._silent: set[str] = {node.name for node in agreed.nodes.values() if not node.up}
        self._searched = 0
        self._unsearched = 0
        self.end: _Place | None = None

    @property
    def is_full(self) -> bool:
        """Whether the page has as many hits as it may."""
        return self._left == 0

    def summary(self) -> Json:
        """Return what came of it."""
        return {
            "next_cursor": None if self.end is None else str(self.end),
            "runs_searched": self._searched,
            "runs_not_searched": self._unsearched,
            "nodes_not_answering": sorted(self._silent),
        }

    async def through(
        self, outputs: Iterator[tuple[Run, LogKey, Sequence[str]]], place: _Place | None
    ) -> AsyncGenerator[Json, None]:
        """Search these outputs and yield their hits in order."""
        wanted = [
            _Wanted(run, key, self._service.holders(self._agreed, key, replicas))
            for run, key, replicas in outputs
        ]
        rank = {each.key: n for n, each in enumerate(wanted)}
        hits = await self._gather(wanted, place)
        hits.sort(key=lambda hit: (rank[hit.key], hit.offset))
        for hit in hits[: self._left]:
            run = wanted[rank[hit.key]].run
            self.end = _Place(hit.key.run_id, hit.key.attempt, hit.offset)
            yield {
                "run": run.id,
                "job": run.job,
                "attempt": hit.key.attempt,
                "node": run.node,
                "nominal_time": run.nominal_time,
                "offset": hit.offset,
                "line": hit.line,
                "text": hit.text,
                "before": list(hit.before),
                "after": list(hit.after),
            }
        self._left -= min(self._left, len(hits))
        if self._left:
            self.end = None

    async def _gather(self, wanted: list[_Wanted], place: _Place | None) -> list[SearchHit]:
        hits: list[SearchHit] = []
        found = {each.key: each for each in wanted}
        pending = list(wanted)
        while pending:
            groups: dict[str, list[LogKey]] = {}
            for each in pending:
                if each.holders:
                    groups.setdefault(each.holders[0], []).append(each.key)
                else:
                    self._unsearched += 1
            answers = await asyncio.gather(
                *(self._service.ask(name, self._part(keys, place)) for name, keys in groups.items())
            )
            pending = []
            for (name, keys), answer in zip(groups.items(), answers, strict=True):
                if answer is None:
                    self._silent.add(name)
                elif answer.problem:
                    raise Invalid([FieldError("q", answer.problem)])
                done = 0 if answer is None else answer.searched
                hits += () if answer is None else answer.hits
                absent = keys if answer is None else answer.absent
                self._searched += 0 if answer is None else done - len(absent)
                for key in absent:
                    found[key].holders.remove(name)
                    pending.append(found[key])
                if answer is not None and len(answer.hits) < self._left:
                    pending += [found[key] for key in keys[done:]]
        return hits

    def _part(self, keys: list[LogKey], place: _Place | None) -> SearchOrder:
        is_first = place is not None and keys[0] == LogKey(place.run_id, place.attempt)
        after = place.offset if place is not None and is_first else -1
        return msgspec.structs.replace(self._order, keys=tuple(keys), limit=self._left, after=after)


def _outputs(
    rows: Sequence[Run], place: _Place | None
) -> Iterator[tuple[Run, LogKey, Sequence[str]]]:
    """Yield the outputs of these runs, the last attempt first, from the place on."""
    for run in rows:
        last = place.attempt if place is not None and place.run_id == run.id else run.attempt
        if run.claimed_at is not None and last >= run.attempt and (run.is_open or run.log.bytes):
            yield run, LogKey(run.id, run.attempt), run.replicas
        for attempt in reversed(run.attempts):
            if attempt.number <= last:
                yield run, LogKey(run.id, attempt.number), attempt.replicas


def _check_pattern(pattern: str, *, regex: bool) -> None:
    if not 1 <= len(pattern) <= PATTERN_CHARACTERS_MAX or "\n" in pattern:
        said = f"must be 1 to {PATTERN_CHARACTERS_MAX} characters of one line"
        raise Invalid([FieldError("q", said)])
    if regex:
        try:
            re.compile(pattern.encode())
        except (re.error, OverflowError, RecursionError) as error:
            raise Invalid([FieldError("q", f"is no regular expression: {error}")]) from error


def _place(cursor: str) -> _Place | None:
    if not cursor:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise Invalid([FieldError("cursor", "is not one that a search gave")])
    return _Place(found[1], int(found[2]), int(found[3]))
