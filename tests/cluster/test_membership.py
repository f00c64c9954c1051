"""Machines that come and go, as real processes, while a job runs every second."""

import time
from datetime import datetime, timedelta

import pytest
from fleet import wait_for
from growing_fleet import GrowingFleet, start_in_vain, wipe

pytestmark = pytest.mark.cluster

EVERY_SECOND = 'echo "$CRONCORD_NOMINAL_TIME" >> {witness}\n'


@pytest.fixture
def growing(tmp_path):
    with GrowingFleet(tmp_path) as fleet:
        yield fleet


class Witness:
    """A job that writes a line each second, and what its own lines say about it."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.path = fleet.directory / "witness"
        self.path.touch()
        script = EVERY_SECOND.format(witness=self.path)
        fields = {"name": "tick", "schedule": "* * * * * *", "script": script, "overlap": "allow"}
        fleet.nodes[0].post("/api/v1/jobs", fields)
        self.wait_lines(2)

    def lines(self):
        return self.path.read_text().split()

    def wait_lines(self, more):
        wanted = len(self.lines()) + more
        wait_for(lambda: len(self.lines()) >= wanted, 30, "the job to go on")

    def check(self):
        """Every second from the first to the last has exactly one line."""
        self.fleet.alive()[0].post("/api/v1/jobs/tick/pause")
        time.sleep(2)
        told = sorted(self.lines())
        times = [datetime.fromisoformat(line) for line in told]
        seconds = int((times[-1] - times[0]).total_seconds()) + 1
        every = [times[0] + timedelta(seconds=n) for n in range(seconds)]
        missing = sorted(set(every) - set(times))
        assert missing == []
        assert len(times) == len(set(times))
        self.fleet.alive()[0].post("/api/v1/jobs/tick/resume")


def test_one_node_grows_to_three_and_its_leader_leaves_without_a_missed_or_double_tick(growing):
    witness = Witness(growing)
    second = growing.grow("n2")
    assert growing.roles() == {"n1": "leader", "n2": "follower"}
    growing.grow("n3")
    said = growing.command("cluster", "status").stdout
    assert "3 nodes vote; 2 of them are a majority, so one may fail." in said
    assert {tuple(growing.roles(node)) for node in growing.nodes} == {("n1", "n2", "n3")}
    witness.wait_lines(2)

    leader = growing.leader()
    assert growing.command("node", "remove", leader.name, "--force").returncode == 0
    assert leader.process.wait(20) == 0
    assert f"{leader.name} was removed from the cluster" in leader.log.read_text()
    assert not (leader.data_dir / "cluster.secret").exists()
    growing.forget(leader)
    witness.wait_lines(3)
    witness.check()
    assert leader.name not in growing.roles()

    restarted = growing[second.name if second is not leader else "n3"]
    assert restarted.stop() == 0
    restarted.start()  # with the same command line, whose token is spent
    wait_for(lambda: growing.is_member(restarted), 40, "the restarted node")

    said = start_in_vain(leader)
    assert f"{leader.name} was removed from its cluster" in said


def test_a_dead_machine_is_replaced_under_its_old_name_and_its_old_disk_is_refused(growing):
    for name in ("n2", "n3"):
        growing.grow(name)
    dead = growing["n3"]
    dead.kill()
    backup = growing.directory / "n3-old-disk"
    dead.data_dir.rename(backup)

    replacement = growing.machine("n3")
    growing.give(replacement, growing.make_token()["token"])
    growing.take(replacement)  # it was not even removed: it is new until it has caught up
    assert sorted(growing.roles()) == ["n1", "n2", "n3"]
    growing["n1"].kill()
    growing["n2"].post("/api/v1/jobs", {"name": "after", "script": "true", "schedule": "@manual"})
    growing["n1"].start()
    wait_for(lambda: growing.is_member(growing["n1"]), 40, "n1 back")

    assert replacement.stop() == 0
    replacement.data_dir.rename(growing.directory / "n3-new-disk")
    backup.rename(replacement.data_dir)
    replacement.log.write_text("")
    replacement.start()
    assert replacement.process.wait(30) == 0
    assert "n3 was removed from the cluster" in replacement.log.read_text()
    assert "cannot take part again" in start_in_vain(replacement)


def test_a_token_lets_one_machine_in_once(growing):
    token = growing.make_token()["token"]
    second = growing.machine("n2")
    growing.give(second, token)
    growing.take(second)
    third = growing.machine("n3")
    growing.give(third, token)
    assert "the join token was used already by n2" in start_in_vain(third)
    growing.give(third, "")
    assert "neither a join token nor the cluster secret" in start_in_vain(third)


@pytest.mark.slow
def test_one_survivor_of_three_is_recovered_and_the_others_join_it_anew(growing):
    first = growing.nodes[0]
    for name in ("n2", "n3"):
        growing.grow(name)
    first.post("/api/v1/jobs", {"name": "kept", "script": "true", "schedule": "@manual"})
    second, third = growing["n2"], growing["n3"]
    for node in (second, third, first):
        node.kill()
    wipe(second)

    place = ("--data-dir", str(first.data_dir), "--name", "n1")
    asked = growing.command("cluster", "recover", *place, answer="no\n")
    assert asked.returncode == 6
    assert "n1 will go on without n2, n3, for good." in asked.stdout
    told = growing.command("cluster", "recover", *place, answer="n1\n")
    assert told.returncode == 0, told.stderr
    again = growing.command("cluster", "recover", *place, "--yes")
    assert "is the only voter already" in again.stdout

    growing.nodes = [first]
    first.start()
    growing.wait_ready()
    assert first.get("/api/v1/jobs/kept")["name"] == "kept"
    growing.grow("n2")
    third.start()  # with its old disk
    assert third.process.wait(30) == 0
    assert "n3 was removed from the cluster" in third.log.read_text()
    wipe(third)
    growing.grow("n3")
    assert sorted(growing.roles()) == ["n1", "n2", "n3"]


@pytest.mark.slow
def test_the_sixth_node_observes_and_votes_when_another_one_leaves(growing):
    for name in ("n2", "n3", "n4", "n5"):
        growing.grow(name)
    sixth = growing.machine("n6")
    growing.give(sixth, growing.make_token()["token"])
    growing.nodes.append(sixth)
    sixth.start()
    growing.wait_ready(60)
    time.sleep(2)
    assert growing.roles()["n6"] == "observer"
    sixth.post("/api/v1/jobs", {"name": "by-n6", "script": "true", "schedule": "@manual"})
    run = sixth.post("/api/v1/jobs/by-n6/run", {"node": "n6"})
    assert growing.wait_run(run["id"])["node"] == "n6"
    fifth = growing["n5"]
    assert growing.command("node", "leave", "--url", fifth.url).returncode == 0
    assert fifth.process.wait(20) == 0
    growing.forget(fifth)
    wait_for(lambda: growing.roles()["n6"] == "follower", 20, "n6 to vote")
