"""Every change leaves an entry that says who did what, and never a script or a secret."""

import msgspec
import pytest
from builders import NOON, Cluster, at

from croncord.credentials import Grant, Link, Secret, Token, User
from croncord.lifecycle import RunState
from croncord.model import CalendarSpec, JobSpec, JoinToken
from croncord.raft import commands as c
from croncord.raft.access_commands import Resealed
from croncord.raft.audit import audit_entry
from croncord.saved_views import SavedView

SECRET = "s3cr3t-value"


def tell(cluster, command):
    """Apply a command; returns its entry."""
    outcome = cluster.do(command)
    return audit_entry(cluster.state, 7, command, outcome)


def put_job(cluster, *, name="backup", expect=None, **fields):
    spec = JobSpec(name=name, **{"script": "true\n", **fields})
    job = cluster.state.job_named(name)
    job_id = job.id if job else f"id-{name}"
    return c.PutJob(
        at=NOON,
        by="user:ada",
        address="10.0.0.9",
        job_id=job_id,
        spec=spec,
        next_due=None,
        expect_version=expect,
    )


def token(**fields):
    made = {"id": "t1", "name": "ci", "role": "operator", "sha256": SECRET, "created_at": NOON}
    return Token(**made, created_by="user:ada", **fields)


def user(**fields):
    return User(
        **{"name": "eve", "role": "viewer", "password": SECRET, "created_at": NOON, **fields}
    )


def test_an_entry_says_when_who_from_where_what_and_how_it_went():
    entry = tell(Cluster(), put_job(Cluster()))
    assert msgspec.structs.asdict(entry) | {"detail": ""} == {
        "index": 7,
        "at": NOON,
        "by": "user:ada",
        "address": "10.0.0.9",
        "action": "job.create",
        "subject": "job:backup",
        "job_id": "id-backup",
        "detail": "",
        "outcome": "",
    }


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"schedule": ("5 * * * *",)}, "schedule @manual → 5 * * * *"),
        ({"tags": ("a", "b")}, "tags (none) → a, b"),
        ({"description": SECRET}, "description"),
        ({"environment": {"KEY": SECRET}}, "environment"),
        ({"script": f"echo {SECRET}\n"}, "script a0e5dc8e9f42"),
        ({"timeout_seconds": 60}, "timeout_seconds (none) → 60"),
    ],
)
def test_an_edit_names_fields_and_digests(fields, told):
    cluster = Cluster()
    tell(cluster, put_job(cluster))
    entry = tell(cluster, put_job(cluster, **fields))
    assert entry.action == "job.edit"
    assert entry.detail.startswith("version 2: ")
    assert told.split(" ", 1)[0] in entry.detail
    if "script" not in fields:
        assert told in entry.detail
    assert SECRET not in str(entry)


def test_a_refused_change_is_told_with_the_reason():
    cluster = Cluster()
    tell(cluster, put_job(cluster))
    entry = tell(cluster, put_job(cluster, expect=9))
    assert (entry.action, entry.subject) == ("job.edit", "job:backup")
    assert "version 1" in entry.outcome
    entry = tell(cluster, c.RemoveUser(at=NOON, name="nobody"))
    assert (entry.action, entry.subject, entry.outcome) == (
        "user.remove",
        "user:nobody",
        "no such user",
    )


def test_a_deleted_job_is_told_by_its_name():
    cluster = Cluster()
    tell(cluster, put_job(cluster))
    entry = tell(cluster, c.DeleteJob(at=NOON, job_id="id-backup", kill=True))
    assert (entry.action, entry.subject, entry.detail) == ("job.delete", "job:backup", "also kills")


def test_a_run_by_hand_names_variables_and_not_their_values():
    cluster = Cluster()
    job = cluster.add_job()
    command = c.TriggerRun(
        at=NOON, by="user:ada", job_id=job.id, run_id="r1", environment={"PASSWORD": SECRET}
    )
    entry = tell(cluster, command)
    assert (entry.action, entry.subject) == ("job.run", "job:job")
    assert "PASSWORD" in entry.detail
    assert SECRET not in str(entry)
    entry = tell(cluster, c.RequestKill(at=NOON, by="user:ada", run_id="r1"))
    assert (entry.action, entry.subject, entry.job_id) == ("run.kill", "run:r1", job.id)


ACCESS = [
    (c.PutToken(at=NOON, token=token(scopes=("run",))), "token.create", "token:ci", "scopes run"),
    (c.RotateToken(at=NOON, token_id="t1", sha256=SECRET), "token.rotate", "token:ci", "operator"),
    (c.RevokeToken(at=NOON, token_id="t1"), "token.revoke", "token:ci", ""),
    (
        c.PutUser(
            at=NOON, user=user(grants=(Grant(role="operator", tags=("a",)),)), expect_new=True
        ),
        "user.create",
        "user:eve",
        "operator of a",
    ),
    (c.PutUser(at=NOON, user=user(role="admin")), "user.edit", "user:eve", "role admin"),
    (
        c.ChangePassword(at=NOON, name="eve", known=user().password, password=SECRET),
        "user.password",
        "user:eve",
        "",
    ),
    (
        c.Reseal(at=NOON, key_id="k2", values=(Resealed(name="S", old=b"old", new=b"new"),)),
        "secret.reseal",
        "cluster",
        "1 values",
    ),
    (c.EndSessions(at=NOON, name="eve"), "session.end-all", "user:eve", ""),
    (c.RemoveUser(at=NOON, name="eve"), "user.remove", "user:eve", ""),
    (
        c.PutLink(at=NOON, link=Link(sha256=SECRET, purpose="signin", expires_at=at(60))),
        "link.create",
        "link:signin",
        "",
    ),
    (c.UseLink(at=NOON, sha256=SECRET), "link.use", "link", ""),
    (c.EndSession(at=NOON, session=SECRET, until=at(9)), "session.end", "session", ""),
    (c.PauseCluster(at=NOON, paused=True), "cluster.pause", "cluster", ""),
    (c.PauseCluster(at=NOON, paused=False), "cluster.resume", "cluster", ""),
    (c.FreezeNode(at=NOON, name="n1", seconds=7), "node.freeze", "node:n1", "7 s"),
    (c.DrainNode(at=NOON, name="n1", draining=True), "node.drain", "node:n1", ""),
    (
        c.SetLogLevel(at=NOON, name="n1", level="debug", until=at(9)),
        "node.log_level",
        "node:n1",
        "debug until 2026",
    ),
    (
        c.SetLogLevel(at=NOON, name="n1", level=""),
        "node.log_level",
        "node:n1",
        "as in its settings",
    ),
    (c.SetLabelLimits(at=NOON, limits={"gpu=a": 2}), "cluster.label-limits", "cluster", "gpu=a 2"),
    (c.PutCalendar(at=NOON, calendar=CalendarSpec(name="h")), "calendar.put", "calendar:h", ""),
    (
        c.PutView(at=NOON, view=SavedView(listing="jobs", name="v", query="state=failed")),
        "view.put",
        "view:jobs/v",
        "state=failed",
    ),
    (c.DeleteView(at=NOON, listing="jobs", name="v"), "view.delete", "view:jobs/v", ""),
    (c.DeleteCalendar(at=NOON, name="h"), "calendar.delete", "calendar:h", ""),
    (c.InitCluster(at=NOON, cluster_id="x", session_key=b"key"), "cluster.found", "cluster", "x"),
    (
        c.PutJoinToken(
            at=NOON,
            token=JoinToken(id="j1", key=SECRET, expires_at=at(60), created_at=NOON),
        ),
        "node.invite",
        "join-token:j1",
        "1 times, as auto",
    ),
    (
        c.AdmitNode(
            at=NOON, name="n9", http="http://n9:1", raft="n9:2", token_id="j1", request_sha256="x"
        ),
        "node.admit",
        "node:n9",
        "http://n9:1; by token j1",
    ),
    (
        c.PutSecret(
            at=NOON,
            secret=Secret(
                name="KEY", sealed=SECRET.encode(), key_id="k", updated_at=NOON, updated_by=""
            ),
        ),
        "secret.put",
        "secret:KEY",
        "for all jobs",
    ),
    (c.DeleteSecret(at=NOON, name="KEY", force=True), "secret.delete", "secret:KEY", "forced"),
    (c.RemoveNode(at=NOON, name="n3"), "node.remove", "node:n3", ""),
]


def test_access_and_cluster_commands_are_told_without_their_secrets():
    cluster = Cluster()
    for command, action, subject, detail in ACCESS:
        entry = tell(cluster, command)
        assert (entry.action, entry.subject, entry.outcome) == (action, subject, "")
        assert detail in entry.detail
        assert SECRET not in str(entry)


def test_what_the_machinery_decides_has_no_entry():
    cluster = Cluster()
    cluster.add_job()
    for command in (
        c.DecideTicks(at=NOON, term=1, jobs=()),
        c.MarkNodes(at=NOON, term=1, down=("n2",)),
        c.ClaimRuns(at=NOON, by="node:n1", node="n1", claims=()),
        c.FinishRuns(at=NOON, by="node:n1", node="n1", results=()),
        c.CloseLogs(at=NOON, by="node:n1", closures=()),
    ):
        assert tell(cluster, command) is None


def test_a_lost_run_resolved_by_hand_has_an_entry():
    result = c.RunResult(run_id="r1", attempt=1, state=RunState.FAILED, finished_at=NOON)
    command = c.FinishRuns(at=NOON, by="user:ada", node="n1", results=(result,))
    entry = tell(Cluster(), command)
    assert (entry.action, entry.subject, entry.detail) == ("run.resolve", "run:r1", "failed")


def test_a_command_without_words_of_its_own_is_told_all_the_same():
    class CreateJoinToken(c.Command, frozen=True, kw_only=True):
        name: str

    cluster = Cluster()
    command = CreateJoinToken(at=NOON, by="user:ada", name="n9")
    entry = audit_entry(cluster.state, 1, command, cluster.do(c.PauseCluster(at=NOON, paused=True)))
    assert (entry.action, entry.subject) == ("create-join-token", "n9")
