"""The machine that runs a script loses its power; what the script printed is read elsewhere."""

import time

import pytest
from lab import wait_for

pytestmark = pytest.mark.slow

PRINTING = """#!/bin/sh
n=0
while :; do echo "$n $(date +%s.%N)"; n=$((n+1)); sleep 0.1; done
"""
PRINTING_SECONDS = 20
READABLE_BEFORE = 1.0
"""What was printed so many seconds before the power went is readable."""


def start(story, where, name, **fields):
    """Start the printing script and let it print for a while; returns the run's id.

    The others are drained for a moment: a run asked for on one node could not go on on another.
    """
    lab = story.lab
    others = [host.name for host in lab.hosts if host != where]
    job = {"name": name, "script": PRINTING, "schedule": "@manual", **fields}
    assert lab.call(lab.hosts[0], "POST", "/api/v1/jobs", job).status == 201
    for other in others:
        assert lab.call(lab.hosts[0], "POST", f"/api/v1/nodes/{other}/drain").status == 200
    answer = lab.call(lab.hosts[0], "POST", f"/api/v1/jobs/{name}/run", {})
    assert answer.status == 202, answer
    run = lab.wait_run(lab.hosts[0], answer.json()["id"], "running")
    for other in others:
        assert lab.call(lab.hosts[0], "POST", f"/api/v1/nodes/{other}/undrain").status == 200
    assert run["node"] == where.name, run
    time.sleep(PRINTING_SECONDS)
    return run["id"]


def output(story, host, run_id, attempt=1):
    """Return what a node answers for an output, or None."""
    path = f"/api/v1/runs/{run_id}/log?attempt={attempt}&stale=allow"
    answer = story.lab.call(host, "GET", path)
    return answer.body if answer.status == 200 else None


def assert_readable(story, body, cut_at, host):
    """The lines are numbered without a gap, and reach up to a second before the cut."""
    whole, _, torn = body.rpartition(b"\n")
    lines = [line.split() for line in whole.splitlines()]
    assert [int(number) for number, _ in lines] == list(range(len(lines)))
    before = cut_at - float(lines[-1][1])
    story.say(
        f"through {host.name}: {len(lines)} lines, the last {before * 1000:.0f} ms before the "
        f"power went, {len(torn)} bytes of a torn line"
    )
    assert before < READABLE_BEFORE


def cut(story, host):
    """Pull the plug; returns when, by the clock that all share."""
    began = time.time()
    story.lab.run("kill", host.name)
    story.say(f"{host.name} without power; pulling the plug took {time.time() - began:.2f} s")
    return began


@pytest.mark.parametrize("who", ["leader", "follower"])
@pytest.mark.parametrize(
    ("delivery", "expected"), [("at_most_once", "lost"), ("at_least_once", "running")]
)
def test_what_was_printed_a_second_before_the_power_went_is_readable_elsewhere(
    story, who, delivery, expected
):
    lab = story.lab
    leader = lab.leader()
    unlucky = leader if who == "leader" else next(h for h in lab.hosts if h != leader)
    left = [host for host in lab.hosts if host != unlucky]
    run_id = start(story, unlucky, f"printing-{who}-{delivery}", delivery=delivery)
    cut_at = cut(story, unlucky)
    try:
        bodies = {
            host: wait_for(lambda h=host: output(story, h, run_id), 60, f"output from {host.name}")
            for host in left
        }
        story.say(f"readable through both others {time.time() - cut_at:.1f} s after the cut")
        for host, body in bodies.items():
            assert_readable(story, body, cut_at, host)
        run = wait_for(
            lambda: over(lab, left[0], run_id, expected, delivery), 180, f"the run to be {expected}"
        )
        story.say(f"{delivery}: {run['state']}, attempt {run['attempt']} on {run['node']}")
        # Each of them alone: nobody else can be asked, so it is its own copy that is read.
        lab.cut(*left)
        try:
            alone = {
                host: wait_for(lambda h=host: output(story, h, run_id), 90, "own") for host in left
            }
        finally:
            lab.heal()
        assert len(set(alone.values())) == 1, {h.name: len(b) for h, b in alone.items()}
        kept = alone[left[0]]
        assert_readable(story, kept, cut_at, left[0])
        wait_for(lambda: all(map(lab.is_ready, left)), 90, "the others to agree again")
    finally:
        lab.run("boot", unlucky.name)
    wait_for(lambda: lab.is_ready(unlucky), 120, f"{unlucky.name} to serve again")

    def whole():
        found = {output(story, host, run_id) for host in lab.hosts}
        return found.pop() if len(found) == 1 and None not in found else None

    body = wait_for(whole, 120, "all nodes to read the same")
    assert body.startswith(kept), (len(body), len(kept))
    copies = wait_for(lambda: all_copies(lab, run_id, 1), 120, "three copies")
    story.say(f"{unlucky.name} is back: {len(body)} bytes ({len(kept)} before), on {copies}")
    stop(lab, run_id)


def over(lab, host, run_id, expected, delivery):
    """Return the run once it is as expected: lost, or begun again elsewhere."""
    answer = lab.call(host, "GET", f"/api/v1/runs/{run_id}")
    run = answer.json() if answer.status == 200 else {}
    again = delivery == "at_most_once" or run.get("attempt", 1) > 1
    return run if run.get("state") == expected and again else None


def all_copies(lab, run_id, attempt):
    """Return who has a copy of an attempt's output, once everybody has."""
    run = lab.get(lab.hosts[0], f"/api/v1/runs/{run_id}")
    earlier = {each["number"]: each["log"] for each in run["attempts"]}
    names = earlier.get(attempt, run["log"])["copies"]
    return names if len(names) == len(lab.hosts) else None


def stop(lab, run_id):
    """End what still runs."""
    if lab.get(lab.hosts[0], f"/api/v1/runs/{run_id}")["state"] == "running":
        lab.call(lab.hosts[0], "POST", f"/api/v1/runs/{run_id}/kill", {"grace_seconds": 1})
        lab.wait_run(lab.hosts[0], run_id)
