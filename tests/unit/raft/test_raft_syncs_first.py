"""What the kernel saw: a node syncs its journal before it answers an append. Needs strace."""

import re
import shutil
from collections import defaultdict

import pytest
from raft_group import group

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
]
COMMANDS = 100
TRACED = "pwrite64,fdatasync,sendto,recvfrom"
LINE = re.compile(r"(\d+) +(\w+)\((\d+)<([^>]*)>.* = (-?\d+)")
STARTED = re.compile(r"(\d+) +(\w+)\((\d+)<([^>]*)>.*<unfinished")


def calls_by_thread(trace):
    """System calls in order of their beginning, per thread: read, write, sync or send."""
    calls = defaultdict(list)
    for line in trace.splitlines():
        found = LINE.match(line) or STARTED.match(line)
        if found is None:
            continue
        thread, call, _descriptor, target = found.groups()[:4]
        if target.endswith("/journal/tail"):
            calls[thread].append("write" if call == "pwrite64" else "sync")
        elif "TCP" in target and call in ("sendto", "recvfrom"):
            calls[thread].append("send" if call == "sendto" else "receive")
    return calls


def judge(trace):
    """Return how many records were written, and what was wrong around them."""
    written, wrong = 0, []
    for calls in calls_by_thread(trace).values():
        for number, call in enumerate(calls):
            if call != "write":
                continue
            written += 1
            if calls[number - 1] != "receive":
                wrong.append(f"{calls[number - 1]} between what was received and its write")
            if calls[number + 1 : number + 2] != ["sync"]:
                wrong.append("a write without its sync")
    return written, wrong


async def traced(tmp_path, *extra):
    """Run commands through a group one by one; returns the trace of a follower meanwhile."""
    out = tmp_path / "trace"
    async with group(tmp_path) as nodes:
        await nodes["ada"].ask("barrier", 30)
        leader = (await nodes["ada"].ask("status"))["leader"]
        follower = next(node for name, node in nodes.items() if name != leader)
        await follower.kill()
        tracer = ("strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-e", f"trace={TRACED}")
        follower.under = (*tracer, "-o", str(out))
        await follower.start(*extra)
        assert await follower.ready
        await follower.ask("barrier", 30)
        begin = out.stat().st_size
        for number in range(COMMANDS):
            assert (await nodes[leader].ask("put", id=f"job-{number}"))["ok"]
        await follower.ask("barrier", 30)
        text = out.read_text()[begin:]
    return text[text.index("\n") + 1 : text.rindex("\n")]


async def test_every_acknowledgement_comes_after_a_sync(tmp_path):
    written, wrong = judge(await traced(tmp_path))
    assert written > COMMANDS / 2  # several commands may share a record
    assert not wrong
    print(f"{written} records, each synced before anything was sent")  # noqa: T201


async def test_a_node_that_acknowledges_before_it_syncs_is_found_out(tmp_path):
    written, wrong = judge(await traced(tmp_path, "hasty"))
    assert written > COMMANDS / 2
    assert len(wrong) > COMMANDS / 2
