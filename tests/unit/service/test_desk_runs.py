"""What people do with runs, at the desk: open rows and final ones are one ledger."""

import asyncio
from datetime import timedelta

import pytest
from desks import ADMIN, OPERATOR, VIEWER, Office, fast_directory

from croncord.errors import Conflict, Forbidden, Invalid, NotFound, Unreachable
from croncord.model import LogInfo, Node
from croncord.ports import LogStatus
from croncord.raft.commands import PutNode
from croncord.service import runs


async def test_open_and_final_runs_are_one_list_newest_first(office):
    await office.job()
    ended = await office.ran()
    waiting = (await office.run())["id"]
    going = (await office.run())["id"]
    await office.launch(going)
    items = (await office.desk.runs.list(VIEWER))["items"]
    assert [item["id"] for item in items] == sorted([ended, waiting, going], reverse=True)
    states = {item["id"]: item["state"] for item in items}
    assert states == {ended: "succeeded", waiting: "pending", going: "running"}


async def test_pages_give_every_run_once(office):
    await office.job()
    made = [await office.ran() for _ in range(3)] + [(await office.run())["id"] for _ in range(4)]
    found, cursor = [], ""
    while True:
        page = await office.desk.runs.list(VIEWER, limit=2, cursor=cursor)
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == sorted(made, reverse=True)


async def test_runs_are_found_by_what_is_known_of_them(office):
    first = await office.job("a")
    await office.job("b")
    failed = await office.ran("a", state="failed")
    good = await office.ran("b")
    waiting = (await office.run("b"))["id"]

    async def found(**where):
        return {item["id"] for item in (await office.desk.runs.list(VIEWER, **where))["items"]}

    assert await found(job="a") == {failed} == await found(job=first["id"])
    assert await found(state="failed") == {failed}
    assert await found(state="pending") == {waiting}
    assert await found(node="n1") == {failed, good}
    assert await found(trigger="manual") == {failed, good, waiting}
    assert await found(trigger="schedule") == set()
    assert await found(job="nobody") == set()
    now = office.clock.now()
    assert await found(since=now - timedelta(hours=1), until=now + timedelta(seconds=1)) == {
        failed,
        good,
        waiting,
    }
    assert await found(until=now - timedelta(hours=1)) == set()
    assert await found(since=now + timedelta(hours=1)) == set()


async def test_runs_of_a_deleted_job_are_found_by_its_id(office):
    job = await office.job()
    run_id = await office.ran()
    await office.desk.jobs.delete(ADMIN, "backup")
    items = (await office.desk.runs.list(VIEWER, job=job["id"]))["items"]
    assert [item["id"] for item in items] == [run_id]


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ({"state": "happy"}, "state"),
        ({"reason": "because"}, "reason"),
        ({"trigger": "finger"}, "trigger"),
        ({"limit": 0}, "limit"),
        ({"cursor": "x" * 24}, "cursor"),
        ({"cursor": "../../etc/passwd"}, "cursor"),
    ],
)
async def test_a_wrong_question_about_runs_names_its_field(office, where, field):
    with pytest.raises(Invalid) as caught:
        await office.desk.runs.list(VIEWER, **where)
    assert [e.field for e in caught.value.errors] == [field]


async def test_a_run_tells_its_times_and_who_holds_its_output(office):
    await office.job()
    run_id = await office.ran("backup", b"one\n", b"two\n")
    run = await office.desk.runs.get(VIEWER, run_id)
    assert (run["state"], run["exit_code"], run["node"]) == ("succeeded", 0, "n1")
    assert run["lateness_ms"] >= 0
    assert run["duration_ms"] == 0
    assert run["log"]["copies"] == ["n1"]
    assert (run["log"]["bytes"], run["log"]["lines"]) == (8, 2)
    assert run["log"]["complete"]
    assert run["reason"] is None
    assert run["kill"] is None


async def test_a_running_run_tells_how_much_it_has_written_so_far(office):
    await office.job()
    run_id = (await office.run())["id"]
    await office.launch(run_id, replicas=("n1", "n2"))
    await office.write(run_id, b"so far\n")
    run = await office.desk.runs.get(VIEWER, run_id)
    assert run["log"]["bytes"] == 7
    assert run["log"]["copies"] == ["n1"]
    assert run["replicas"] == ["n1", "n2"]


async def test_an_unknown_run_is_not_found(office):
    for ask in (office.desk.runs.get, office.desk.runs.log):
        with pytest.raises(NotFound, match="no run has the id"):
            await ask(VIEWER, "0" * 24)


async def test_killing_what_waits_ends_it_and_what_runs_is_asked_to_end(office):
    await office.job()
    waiting = (await office.run())["id"]
    killed = await office.desk.runs.kill(OPERATOR, waiting)
    assert (killed["state"], killed["reason"]) == ("killed", "requested")
    going = (await office.run())["id"]
    await office.launch(going)
    asked = await office.desk.runs.kill(OPERATOR, going, grace_seconds=3)
    assert asked["state"] == "running"
    assert (asked["kill"]["by"], asked["kill"]["grace_seconds"]) == ("user:bob", 3)
    assert asked["kill"]["confirmed_at"] is None
    assert (await office.desk.runs.kill(ADMIN, going))["kill"] == asked["kill"]
    await office.finish(going, "killed")
    done = await office.desk.runs.get(VIEWER, going)
    assert done["kill"]["confirmed_at"] is not None
    with pytest.raises(Conflict, match="ended already"):
        await office.desk.runs.kill(OPERATOR, going)


async def test_a_viewer_ends_and_starts_nothing(office):
    await office.job()
    run_id = await office.ran()
    for change in (
        office.desk.runs.kill(VIEWER, run_id),
        office.desk.runs.rerun(VIEWER, run_id),
        office.desk.runs.resolve(VIEWER, run_id, state="failed"),
    ):
        with pytest.raises(Forbidden):
            await change


async def test_an_impossible_grace_is_refused(office):
    await office.job()
    run_id = (await office.run())["id"]
    with pytest.raises(Invalid, match="grace_seconds: must be a whole number from 0 to 3600"):
        await office.desk.runs.kill(ADMIN, run_id, grace_seconds=3601)


async def test_running_again_keeps_the_runs_own_environment(office):
    await office.job()
    first = await office.run(environment={"MONTH": "10"}, node="n1")
    await office.launch(first["id"])
    await office.finish(first["id"], "failed")
    again = await office.desk.runs.rerun(OPERATOR, first["id"])
    assert again["id"] != first["id"]
    assert (again["environment"], again["target"]) == ({"MONTH": "10"}, "n1")
    await office.desk.jobs.delete(ADMIN, "backup")
    with pytest.raises(NotFound, match="was deleted"):
        await office.desk.runs.rerun(OPERATOR, first["id"])


async def test_a_lost_run_is_closed_by_who_knows_how_it_ended(office):
    await office.job()
    run_id = (await office.run())["id"]
    await office.launch(run_id)
    await office.lose(run_id)
    assert (await office.desk.runs.get(VIEWER, run_id))["state"] == "lost"
    closed = await office.desk.runs.resolve(
        OPERATOR, run_id, state="succeeded", note="the file is there"
    )
    assert closed["state"] == "succeeded"
    assert closed["detail"] == "Resolved by user:bob: the file is there"
    assert (await office.desk.runs.get(VIEWER, run_id))["state"] == "succeeded"
    with pytest.raises(Conflict, match="not lost"):
        await office.desk.runs.resolve(OPERATOR, run_id, state="failed")


async def test_the_output_of_every_attempt_can_be_found(office):
    await office.job(retries={"count": 1, "delay_seconds": 0})
    run_id = (await office.run())["id"]
    await office.launch(run_id, replicas=("n1", "n2"))
    await office.finish(run_id, "failed")
    key, holders, run = await office.desk.runs.log(VIEWER, run_id)
    assert (key.attempt, holders, run["attempt"]) == (2, [], 2)
    key, holders, run = await office.desk.runs.log(VIEWER, run_id, attempt=1)
    assert (key.attempt, holders) == (1, ["n1", "n2"])
    assert run["log"]["complete"]
    assert run["attempts"][0]["state"] == "failed"
    with pytest.raises(NotFound, match="the run has 2 attempts"):
        await office.desk.runs.log(VIEWER, run_id, attempt=3)


async def test_the_strip_of_a_job_holds_its_newest_rows(office):
    job = await office.job()
    ids = [await office.ran() for _ in range(4)]
    waiting = (await office.run())["id"]
    rows = await office.desk.runs.recent(ADMIN, [job["id"], "nobody"], n=3)
    newest = sorted([*ids, waiting], reverse=True)[:3]
    assert [row["id"] for row in rows[job["id"]]] == newest
    assert rows["nobody"] == []


async def test_events_tell_what_changed_in_order(office):
    seen = []
    stop = office.desk.watch(seen.append)
    await office.job()
    run_id = await office.ran()
    await office.desk.cluster.drain(ADMIN, "n2")
    await office.desk.cluster.pause(ADMIN)
    await office.desk.jobs.delete(ADMIN, "backup")
    stop()
    await office.job("unseen")
    told = [(e["kind"], e.get("state") or e.get("change") or e.get("name")) for e in seen]
    assert told == [
        ("job", "saved"),
        ("run", "pending"),
        ("run", "pending"),
        ("run", "running"),
        ("run", "succeeded"),
        ("node", "n2"),
        ("cluster", "paused"),
        ("job", "deleted"),
    ]
    assert {e["id"] for e in seen if e["kind"] == "run"} == {run_id}
    indexes = [e["index"] for e in seen]
    assert indexes == sorted(indexes)


class SomePeers:
    """Other nodes: n2 has the output, n3 does not answer, n4 hangs, n5 has nothing."""

    async def log_status(self, node_http, _key):
        name = node_http.removeprefix("http://").partition(".")[0]
        if name == "n3":
            raise Unreachable("n3 does not answer")
        if name == "n4":
            await asyncio.sleep(3600)
        if name == "n2":
            return LogStatus(size=99, complete=False, info=LogInfo(bytes=42, lines=3))
        return None


async def test_only_nodes_that_say_so_are_named_as_holders(monkeypatch):
    monkeypatch.setattr(runs, "COPIES_SECONDS", 0.01)
    with fast_directory() as path:
        office = await Office.open(path, peers=SomePeers())
        now = office.clock.now()
        for name in ("n3", "n4", "n5"):
            http = f"http://{name}.example:8470"
            node = Node(name=name, http=http, raft="x:1", joined_at=now, changed_at=now)
            await office.do(PutNode(at=now, node=node))
        await office.job()
        run_id = (await office.run())["id"]
        await office.launch(run_id, replicas=("n1", "n2", "n3", "n4", "n5", "n9"))
        run = await office.desk.runs.get(VIEWER, run_id)
        assert run["log"]["copies"] == ["n1", "n2"]
        assert run["log"]["bytes"] == 42, "the longest copy tells how much there is"
        await office.close()


async def test_who_holds_the_output_of_an_attempt_is_told_after_the_next_has_begun(monkeypatch):
    monkeypatch.setattr(runs, "COPIES_SECONDS", 0.01)
    with fast_directory() as path:
        office = await Office.open(path, peers=SomePeers())
        now = office.clock.now()
        http = "http://n2.example:8470"
        node = Node(name="n2", http=http, raft="x:1", joined_at=now, changed_at=now)
        await office.do(PutNode(at=now, node=node))
        await office.job(retries={"count": 1, "delay_seconds": 0})
        run_id = (await office.run())["id"]
        await office.launch(run_id, replicas=("n1", "n2"))
        await office.finish(run_id, "failed")
        (first,) = (await office.desk.runs.get(VIEWER, run_id))["attempts"]
        assert first["log"]["sha256"]
        assert first["log"]["copies"] == ["n1"], "what n2 has is another output"
        await office.close()


async def test_the_runs_of_a_deleted_job_are_found_by_its_name_and_by_its_id(office):
    generations = []
    for _ in range(2):
        job_id = (await office.job())["id"]
        generations.append((job_id, await office.ran()))
        await office.desk.jobs.delete(ADMIN, "backup")
    runs = [run_id for _, run_id in generations]
    found = await office.desk.runs.list(VIEWER, job="backup")
    assert [item["id"] for item in found["items"]] == sorted(runs, reverse=True)
    for job_id, run_id in generations:
        items = (await office.desk.runs.list(VIEWER, job=job_id))["items"]
        assert [item["id"] for item in items] == [run_id]
    page = await office.desk.runs.list(VIEWER, job="backup", limit=1)
    rest = await office.desk.runs.list(VIEWER, job="backup", limit=1, cursor=page["next_cursor"])
    assert [item["id"] for item in (*page["items"], *rest["items"])] == sorted(runs, reverse=True)


async def test_a_living_job_hides_the_runs_of_a_deleted_one_of_its_name(office):
    await office.job()
    await office.ran()
    await office.desk.jobs.delete(ADMIN, "backup")
    await office.job()
    mine = await office.ran()
    items = (await office.desk.runs.list(VIEWER, job="backup"))["items"]
    assert [item["id"] for item in items] == [mine]


async def test_a_pending_run_says_what_it_waits_for(office):
    await office.job()
    run = await office.desk.runs.get(VIEWER, (await office.run())["id"])
    assert "asked for by hand, waits" in run["waits_for"]
    done = await office.desk.runs.get(VIEWER, await office.ran())
    assert done["waits_for"] == ""
