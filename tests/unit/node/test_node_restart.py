"""One node with everything real on disk, killed with -9 in the middle of its runs and started again."""

import json
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime

import pytest

from croncord.model import run_id
from croncord.node.kill import find_processes, marks_of, send

NODE = """
    import asyncio, json, sys
    from pathlib import Path
    from croncord.clock import SystemClock
    from croncord.logs.log_store import LogStore
    from croncord.model import JobSpec
    from croncord.node.agent import Agent
    from croncord.node.agent_journal import FileJournal
    from croncord.node.runner import ProcessRunner
    from croncord.ports import LogKey
    from croncord.raft.commands import Assignment, AssignRuns, PutJob, TriggerRun
    from croncord.raft.solo import SoloReplica

    SCRIPT = '''
    for i in $(seq 30); do echo "$CRONCORD_RUN_ID line $i"; sleep 0.02; done
    echo "$CRONCORD_RUN_ID" >> "$WITNESS"
    exit $NUMBER
    '''

    async def main(data, witness, life, *ids):
        clock = SystemClock()
        replica = SoloReplica("n1", data)
        await replica.start()
        logs = await LogStore.start(data / "logs", node="n1")
        journal = FileJournal(data / "agent" / "notes")
        journal.open()
        runner = ProcessRunner(data / "runs", logs, clock)
        agent = Agent(name="n1", replica=replica, runner=runner, clock=clock,
                      journal=journal, offset=lambda: 0)
        agent_life = asyncio.create_task(agent.run())
        if life == "first":
            spec = JobSpec(name="j", script=SCRIPT, overlap="allow", environment={"WITNESS": witness})
            await replica.propose(PutJob(at=clock.now(), job_id="j", spec=spec, next_due=None))
            for number, run_id in enumerate(ids):
                wish = TriggerRun(at=clock.now(), job_id="j", run_id=run_id,
                                  environment={"NUMBER": str(number)})
                await replica.propose(wish)
                given = (Assignment(run_id=run_id, attempt=1, node="n1"),)
                await replica.propose(AssignRuns(at=clock.now(), term=1, assignments=given))
            while len(list((data / "runs").glob("*/meta"))) < 5:
                await asyncio.sleep(0.01)
            print("up", flush=True)
            await asyncio.sleep(60)
        while any(replica.state.run(run_id).is_open for run_id in ids):
            await asyncio.sleep(0.01)
        found = {}
        for run_id in ids:
            run = replica.state.run(run_id)
            output = b"".join([c.data async for c in logs.read(LogKey(run_id, 1))])
            found[run_id] = [run.state, run.exit_code, output.decode(), run.excerpt]
        await agent.drain(timeout_seconds=5)
        agent_life.cancel()
        await asyncio.gather(agent_life, return_exceptions=True)
        journal.close()
        await logs.stop()
        await replica.stop()
        print(json.dumps(found), flush=True)

    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
"""


@pytest.fixture
def node(tmp_path):
    """Start a life of the node; whatever it leaves is ended with the test."""
    run_ids = [run_id("j", datetime.now(UTC), key=str(number)) for number in range(5)]

    def start(life: str) -> subprocess.Popen:
        arguments = (str(tmp_path / "data"), str(tmp_path / "witness"), life, *run_ids)
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(NODE), *arguments],
            stdout=subprocess.PIPE,
        )

    yield start, run_ids
    for run in run_ids:
        for process in find_processes(marks_of(run, 1)):
            send(process, signal.SIGKILL)


def test_a_node_killed_in_the_middle_of_its_runs_tells_the_truth_about_each(node, tmp_path):
    start, run_ids = node
    with start("first") as daemon:
        try:
            assert daemon.stdout.readline() == b"up\n"
        finally:
            daemon.kill()
    with start("second") as daemon:
        found = json.loads(daemon.stdout.readline())
        assert daemon.wait() == 0
    for number, run in enumerate(run_ids):
        state, exit_code, output, excerpt = found[run]
        assert (state, exit_code) == ("failed" if number else "succeeded", number)
        assert output == "".join(f"{run} line {i}\n" for i in range(1, 31))
        assert excerpt.splitlines()[-1] == f"{run} line 30"
    witness = (tmp_path / "witness").read_text().split()
    assert sorted(witness) == sorted(run_ids), "each ran exactly once"
    assert list((tmp_path / "data" / "runs").iterdir()) == []
