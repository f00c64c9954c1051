"""Health, metrics, headers; and answers when nobody leads."""

import pytest
from desks import Office, fast_directory
from web_clients import door_to

from croncord.errors import NoLeader
from croncord.raft.solo import SoloReplica


class Cut(SoloReplica):
    """A node that loses its leader when `cut` is set."""

    cut = False

    def status(self):
        status = super().status()
        if not self.cut:
            return status
        fields = {f: getattr(status, f) for f in status.__struct_fields__}
        return type(status)(
            **fields | {"leader": None, "has_quorum": False, "contact_age_seconds": 12.34}
        )

    async def barrier(self, **_options):
        if self.cut:
            raise NoLeader("no majority answers")

    async def propose(self, command, **options):
        if self.cut:
            raise NoLeader("no majority answers", hint="Wait.")
        return await super().propose(command, **options)


@pytest.fixture
async def cut_door():
    with fast_directory() as path:
        office = await Office.open(path, replica=Cut("n1"))
        async with door_to(office) as door:
            yield door
        await office.close()


async def test_without_a_leader_reads_are_answered_and_say_how_old_they_are(cut_door):
    await cut_door.office.job()
    await cut_door.office.ran()
    cut_door.office.replica.cut = True
    for path in (
        "/api/v1/jobs",
        "/api/v1/jobs/backup",
        "/api/v1/runs",
        "/api/v1/nodes",
        "/api/v1/nodes/n1",
        "/api/v1/cluster",
    ):
        answer = await cut_door.ask("GET", path, role="viewer")
        assert answer.status == 200, path
        assert answer.headers["Croncord-Stale"] == "12.3", path
        assert answer.headers["Croncord-Leader"] == ""


async def test_without_a_leader_changes_get_503_and_when_to_come_back(cut_door):
    cut_door.office.replica.cut = True
    answer = await cut_door.ask("POST", "/api/v1/jobs", json={"name": "a", "script": "x"})
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    body = await answer.json()
    assert (body["title"], body["hint"]) == ("No leader", "Wait.")


async def test_a_node_is_ready_when_it_has_a_leader(cut_door):
    ready = await cut_door.ask("GET", "/readyz", role=None)
    assert (ready.status, await ready.json()) == (200, {"ready": True, "reason": ""})
    cut_door.office.replica.cut = True
    ready = await cut_door.ask("GET", "/readyz", role=None)
    assert ready.status == 503
    assert (await ready.json())["reason"] == "no leader is known"
    alive = await cut_door.ask("GET", "/healthz", role=None)
    assert (alive.status, await alive.json()) == (200, {"status": "ok"})


async def test_the_own_copy_can_be_asked_for_on_purpose(door):
    await door.office.job()
    answer = await door.ask("GET", "/api/v1/jobs?stale=allow")
    assert answer.headers["Croncord-Stale"] == "0.0"
    assert (await answer.json())["total"] == 1


async def test_every_answer_tells_browsers_what_not_to_do(door):
    for path, role in (("/healthz", None), ("/api/v1/jobs", "viewer"), ("/api/v1/nope", None)):
        headers = (await door.ask("GET", path, role=role)).headers
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "CronCord"
        assert "Access-Control-Allow-Origin" not in headers


async def test_metrics_count_what_happened(door):
    await door.office.job('a "quoted" job')
    await door.office.job("backup")
    await door.office.ran("backup")
    await door.office.ran("backup", state="failed")
    await door.office.run("backup")
    await door.get("/api/v1/jobs")
    answer = await door.ask("GET", "/metrics", role="viewer")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = (await answer.text()).splitlines()
    for line in (
        "croncord_is_leader 1",
        "croncord_has_leader 1",
        "croncord_jobs 2",
        'croncord_open_runs{state="pending"} 1',
        'croncord_runs_ended_total{state="succeeded"} 1',
        'croncord_runs_ended_total{state="failed"} 1',
        'croncord_runs_ended_total{state="lost"} 0',
        'croncord_node_up{name="n1"} 1',
        'croncord_http_requests_total{route="api",method="GET",status="200"} 1',
        "# TYPE croncord_runs_ended_total counter",
    ):
        assert line in lines, line
    samples = [line for line in lines if not line.startswith("#")]
    assert len(samples) == len({line.rpartition(" ")[0] for line in samples})
