"""A node process for tests: a RaftReplica that takes one JSON request per line and answers it."""

import asyncio
import itertools
import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from croncord.errors import CronCordError
from croncord.model import JobSpec
from croncord.raft import snapshotfile
from croncord.raft.commands import PutJob
from croncord.raft.journal import LmdbJournal
from croncord.raft.replica import RaftReplica


def put_job(job_id):
    return PutJob(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        job_id=job_id,
        spec=JobSpec(name=job_id, script="true"),
        next_due=None,
    )


def die_at(point):
    """Kill this process at the n-th step that reaches the disk: "write:3" or "snapshot:1"."""
    kind, _, number = point.partition(":")
    counter = itertools.count(1)

    def dies(step):
        def wrapped(*arguments, **options):
            if next(counter) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*arguments, **options)
            if next(counter) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    if kind == "write":
        LmdbJournal.write = dies(LmdbJournal.write)
    else:
        snapshotfile.os.fsync = dies(os.fsync)
        Path.replace = dies(Path.replace)


async def propose_all(replica, commands):
    for command in commands:
        await replica.propose(command, timeout_seconds=60)


async def answer(replica, request):
    do = request["do"]
    try:
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
            "jobs": {job.id: job.version for job in replica.state.jobs.values()}
            if do != "status"
            else {},
        }
    except CronCordError as error:
        return {"ok": False, "error": type(error).__name__, "message": error.message}


async def main():
    name, directory, secret, members = sys.argv[1:5]
    members = json.loads(members)
    logging.basicConfig(level=logging.INFO, format=f"{name} %(asctime)s %(message)s")
    if len(sys.argv) > 5:
        die_at(sys.argv[5])
    replica = RaftReplica(
        name=name,
        listen=members[name],
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
        result = await answer(replica, request)
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
