"""A node process for tests: a RaftReplica that takes one JSON request per line and answers it."""

import asyncio
import itertools
import json
import logging
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from raft_death import die_at

from croncord.errors import CronCordError
from croncord.model import JobSpec
from croncord.raft.commands import PutJob
from croncord.raft.engine.append import Append
from croncord.raft.engine.durable import Durable
from croncord.raft.journal import LmdbJournal
from croncord.raft.replica import RaftReplica


def put_job(job_id):
    return PutJob(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        job_id=job_id,
        spec=JobSpec(name=job_id, script="true"),
        next_due=None,
    )


class Pauses:
    """The longest times for which something kept the engine from going on, in seconds.

    `silence`: between two messages of one leader, as they reach this node's engine. `sync`: one
    sync of the journal.
    """

    def __init__(self):
        self._longest, self._heard = {"silence": 0.0, "sync": 0.0}, None
        accept, write = Append._accept_leader, LmdbJournal.write

        def accept_and_note(engine, node, message):
            accepted = accept(engine, node, message)
            if accepted:
                self._note_leader(engine.now(), (node.id, engine.term))
            return accepted

        def write_and_note(journal):
            begin = time.monotonic()
            write(journal)
            self._note("sync", time.monotonic() - begin)

        Append._accept_leader, LmdbJournal.write = accept_and_note, write_and_note

    def _note(self, what, seconds):
        self._longest[what] = max(self._longest[what], seconds)

    def _note_leader(self, now, source):
        if self._heard is not None and self._heard[1] == source:
            self._note("silence", now - self._heard[0])
        self._heard = now, source

    def take(self):
        longest, self._longest = self._longest, dict.fromkeys(self._longest, 0.0)
        return longest


def acknowledge_before_the_sync(engine):
    engine.send_acks()
    engine.transport.flush()
    engine._sync()


async def load(replica, in_flight, seconds, per_second):
    """Put 1,000 jobs in turn; each is answered or its error counted. Returns the counts."""
    end = asyncio.get_running_loop().time() + seconds
    numbers, done = itertools.count(), Counter()

    async def worker():
        while (begin := asyncio.get_running_loop().time()) < end:
            try:
                await replica.propose(put_job(f"load-{next(numbers) % 1000}"), timeout_seconds=30)
                done["ok"] += 1
            except CronCordError as error:
                done[type(error).__name__] += 1
            await asyncio.sleep(begin + in_flight / per_second - asyncio.get_running_loop().time())

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return dict(done)


async def propose_all(replica, commands):
    for command in commands:
        await replica.propose(command, timeout_seconds=60)


async def answer(replica, request, pauses):
    do = request["do"]
    try:
        if do == "load":
            fields = ("in_flight", "for_seconds", "per_second")
            return {"ok": True, "done": await load(replica, *(request[f] for f in fields))}
        if do == "put":
            outcome = await replica.propose(put_job(request["id"]), timeout_seconds=10)
            return {"ok": outcome.refusal is None, "version": outcome.value.version}
        if do == "fill":
            jobs = (put_job(f"job-{number}") for number in range(request["count"]))
            await asyncio.gather(
                *(propose_all(replica, jobs) for _ in range(256))  # the generator is shared
            )
        if do == "barrier":
            await replica.barrier(timeout_seconds=15)
        if do == "snapshot":
            replica.take_snapshot()
        if do == "transfer":
            await replica.transfer_leadership()
        status = replica.status()
        return {
            "ok": True,
            "role": status.role,
            "leader": status.leader,
            "term": status.term,
            "applied": status.applied_index,
            "digest": replica.state.digest(),
            "pauses": pauses.take(),
            "jobs": {job.id: job.version for job in replica.state.jobs.values()}
            if do == "barrier" and request.get("jobs", True)
            else {},
        }
    except CronCordError as error:
        return {"ok": False, "error": type(error).__name__, "message": error.message}


async def main():
    name, directory, secret, members = sys.argv[1:5]
    members = json.loads(members)
    logging.basicConfig(level=logging.INFO, format=f"{name} %(asctime)s %(message)s")
    listen = members[name]
    if sys.argv[5:] == ["join"]:
        del members[name]
    elif sys.argv[5:] == ["hasty"]:
        Durable._after_poll = acknowledge_before_the_sync
    elif len(sys.argv) > 5:
        die_at(sys.argv[5])
    pauses = Pauses()
    replica = RaftReplica(
        name=name,
        listen=listen,
        members=members,
        data_dir=Path(directory),
        secret=secret.encode() or None,
    )
    await replica.start()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()

    async def handle(line):
        request = json.loads(line)
        result = await answer(replica, request, pauses)
        sys.stdout.write(json.dumps({"n": request["n"], **result}) + "\n")
        sys.stdout.flush()

    print("ready", flush=True)  # noqa: T201 - the protocol of this process
    while line := await reader.readline():
        task = asyncio.create_task(handle(line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await replica.stop()


if __name__ == "__main__":
    asyncio.run(main())
