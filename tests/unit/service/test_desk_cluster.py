"""The cluster and its machines, at the desk; and reads and changes when nobody leads."""

from datetime import timedelta

import pytest
from desks import ADMIN, OPERATOR, VIEWER, Office, fast_directory

from croncord.errors import Conflict, Forbidden, NoLeader, NotFound, NotReady
from croncord.ports import Sighting, Vitals
from croncord.raft.commands import SetLogLevel
from croncord.raft.solo import SoloReplica
from croncord.raft.state import Outcome, Refusal
from croncord.service.agreement import ReadNote, read_note
from croncord.service.cluster import WantedLogLevel


def sighting(office, name, **fields):
    vitals = Vitals(
        name=name,
        at=office.clock.now(),
        cpu_percent=12.5,
        load_1m=0.5,
        memory_bytes=1,
        memory_total_bytes=4,
        disk_bytes=2,
        disk_total_bytes=8,
        running_runs=0,
        applied_index=3,
        uptime_seconds=60,
        version="0.1.0",
    )
    return Sighting(vitals=vitals, age_seconds=2.0, clock_offset_ms=-7, **fields)


async def test_the_cluster_says_who_leads_and_what_it_survives(office):
    office.sightings = (sighting(office, "n2"),)
    shown = await office.desk.cluster.show(ADMIN)
    assert (shown["leader"], shown["quorum"], shown["paused"]) == ("n1", True, False)
    assert (shown["voters"], shown["majority"], shown["survives"]) == (1, 1, 0)
    n1, n2 = shown["nodes"]
    assert (n1["name"], n1["role"], n1["state"]) == ("n1", "leader", "up")
    assert n1["cpu_percent"] is n1["last_seen"] is n1["memory"] is None
    assert (n2["role"], n2["cpu_percent"], n2["clock_offset_ms"]) == ("observer", 12.5, -7)
    assert n2["memory"] == {"used_bytes": 1, "total_bytes": 4}


async def test_the_digest_gives_no_secret_away(office):
    shown = await office.desk.cluster.show(ADMIN)
    assert office.replica.state.session_key.hex() not in str(shown)


async def test_running_runs_are_counted_per_node(office):
    await office.job()
    run = await office.run()
    await office.launch(run["id"], node="n2")
    assert (await office.desk.cluster.node("n2"))["running_runs"] == 1
    assert (await office.desk.cluster.node("n1"))["running_runs"] == 0


async def test_an_admin_drains_and_removes_machines_and_nobody_else_does(office):
    for who in (VIEWER, OPERATOR):
        for change in (
            office.desk.cluster.drain(who, "n2"),
            office.desk.cluster.undrain(who, "n2"),
            office.desk.cluster.set_log_level(who, "n2", WantedLogLevel(level="debug")),
            office.desk.membership.remove(who, "n2"),
            office.desk.cluster.pause(who),
            office.desk.cluster.resume(who),
            office.desk.cluster.transfer_leader(who),
        ):
            with pytest.raises(Forbidden, match="needs the role admin"):
                await change
    assert (await office.desk.cluster.drain(ADMIN, "n2"))["state"] == "draining"
    assert (await office.desk.cluster.undrain(ADMIN, "n2"))["state"] == "up"
    await office.desk.membership.remove(ADMIN, "n2")
    for ask in (office.desk.cluster.node("n2"), office.desk.cluster.drain(ADMIN, "n2")):
        with pytest.raises(NotFound):
            await ask


async def test_a_log_level_shows_until_its_time_is_over_or_it_is_changed_back(office):
    def shown(node):
        return node["log_level"], node["log_level_until"] is not None

    desk = office.desk.cluster
    assert shown(await desk.node("n2")) == (None, False)
    forever = WantedLogLevel(level="debug")
    assert shown(await desk.set_log_level(ADMIN, "n2", forever)) == ("debug", False)
    assert (await desk.node("n1"))["log_level"] is None
    wanted = WantedLogLevel(level="warning", for_seconds=60)
    assert shown(await desk.set_log_level(ADMIN, "n2", wanted)) == ("warning", True)
    back = WantedLogLevel(level="default", for_seconds=60)
    assert shown(await desk.set_log_level(ADMIN, "n2", back)) == (None, False)
    long_ago = office.clock.now() - timedelta(days=1)
    await office.do(SetLogLevel(at=long_ago, name="n2", level="error", until=long_ago))
    assert shown(await desk.node("n2")) == (None, False)


async def test_a_busy_machine_is_not_removed(office):
    await office.job()
    await office.launch((await office.run())["id"], node="n2")
    with pytest.raises(Conflict, match="has runs in hand"):
        await office.desk.membership.remove(ADMIN, "n2")


async def test_pausing_the_cluster_shows(office):
    assert await office.desk.cluster.pause(ADMIN) == {"paused": True}
    assert (await office.desk.cluster.show(ADMIN))["paused"]
    assert await office.desk.cluster.resume(ADMIN) == {"paused": False}


async def test_a_cluster_of_one_has_nobody_to_hand_leadership_to(office):
    with pytest.raises(Conflict, match="no other node"):
        await office.desk.cluster.transfer_leader(ADMIN)


class Cut(SoloReplica):
    """A node that loses its leader when `cut` is set, and may be told to refuse."""

    cut = False
    other_leader = None
    refusal = None

    def status(self):
        status = super().status()
        if not self.cut:
            return status
        return type(status)(
            **{f: getattr(status, f) for f in status.__struct_fields__}
            | {"leader": self.other_leader, "has_quorum": False, "contact_age_seconds": 12.34}
        )

    async def barrier(self, **_options):
        if self.cut:
            raise NoLeader("no leader")

    async def propose(self, command, **options):
        if self.cut:
            raise NoLeader("no leader")
        if self.refusal:
            return Outcome(refusal=self.refusal)
        return await super().propose(command, **options)


@pytest.fixture
async def cut_office():
    with fast_directory() as path:
        office = await Office.open(path, replica=Cut("n1"))
        yield office
        await office.close()


async def test_without_a_leader_reads_go_on_and_say_how_old_they_are(cut_office):
    await cut_office.job()
    note = ReadNote()
    token = read_note.set(note)
    await cut_office.desk.jobs.get(VIEWER, "backup")
    assert not note.own_copy
    cut_office.replica.cut = True
    assert (await cut_office.desk.jobs.get(VIEWER, "backup"))["name"] == "backup"
    assert note.own_copy
    read_note.reset(token)
    fresh = cut_office.desk.cluster.freshness()
    assert (fresh["has_leader"], fresh["leader"], fresh["stale_seconds"]) == (False, None, 12.3)
    assert {peer["name"] for peer in fresh["peers"]} == {"n1", "n2"}
    with pytest.raises(NoLeader):
        await cut_office.job("other")


async def test_the_own_copy_can_be_asked_for_on_purpose(office):
    note = ReadNote()
    token = read_note.set(note)
    await office.desk.jobs.list(VIEWER, stale=True)
    assert note.own_copy
    read_note.reset(token)


async def test_a_refusal_for_want_of_a_term_is_told_as_try_again(cut_office):
    cut_office.replica.refusal = Refusal("stale_term", "term 1 ended")
    with pytest.raises(NotReady, match="term 1 ended"):
        await cut_office.job()


async def test_without_a_leader_nobody_can_hand_leadership_over(cut_office):
    cut_office.replica.cut = True
    with pytest.raises(NoLeader, match="nobody leads"):
        await cut_office.desk.cluster.transfer_leader(ADMIN)
