import msgspec
import pytest
from builders import NOON, Cluster, at, node

from croncord.credentials import Link, Token, User
from croncord.errors import Invalid
from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import JobSpec, run_id
from croncord.raft.access_commands import (
    ChangePassword,
    PutLink,
    PutToken,
    PutUser,
    RemoveUser,
    RevokeToken,
    UseLink,
)
from croncord.raft.commands import (
    Claim,
    ClaimRuns,
    DecideTicks,
    Decision,
    DeleteJob,
    DrainNode,
    InitCluster,
    JobDecisions,
    MarkNodes,
    PauseCluster,
    PauseJob,
    PutJob,
    PutNode,
    RemoveNode,
    RequestKill,
    SetLogLevel,
    decode_command,
    encode_command,
)
from croncord.raft.state import ClusterState


def put(cluster, job, **changes):
    spec = msgspec.structs.replace(job.spec, **changes.pop("spec", {}))
    return cluster.do(
        PutJob(at=cluster.now, job_id=job.id, spec=spec, next_due=at(7200), **changes)
    )


def test_a_job_name_is_taken_once():
    cluster = Cluster()
    cluster.add_job("backup")
    spec = JobSpec(name="backup", script="true")
    outcome = cluster.do(PutJob(at=NOON, job_id="other", spec=spec, next_due=None))
    assert (outcome.refusal.code, outcome.refusal.field) == ("conflict", "name")


def test_a_rename_frees_the_old_name():
    cluster = Cluster()
    job = cluster.add_job("backup")
    put(cluster, job, spec={"name": "nightly"})
    assert cluster.state.job_named("backup") is None
    assert cluster.state.job_named("nightly").id == job.id


@pytest.mark.parametrize("expected", [0, 2])
def test_saving_over_another_version_is_refused(expected):
    cluster = Cluster()
    job = cluster.add_job()
    outcome = put(cluster, job, expect_version=expected)
    assert outcome.refusal.code == "version"
    assert cluster.state.jobs[job.id] == job


def test_an_edit_does_not_bring_a_deleted_job_back():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.do(DeleteJob(at=NOON, job_id=job.id))
    assert put(cluster, job, must_exist=True).refusal.code == "not_found"
    assert not cluster.state.jobs


def test_an_edit_that_leaves_the_timing_alone_keeps_the_next_tick_and_the_anchor():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.now = at(30)
    edited = put(cluster, job, spec={"description": "new"}).value
    assert (edited.next_due, edited.anchor, edited.version) == (job.next_due, NOON, 2)


def test_timing_cannot_change_while_a_due_tick_is_undecided():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.now = at(61)
    retime = {"schedule": ("0 3 * * *",)}
    assert put(cluster, job, spec=retime).refusal.code == "behind"
    assert cluster.do(DeleteJob(at=cluster.now, job_id=job.id)).refusal.code == "behind"
    cluster.decide()
    assert put(cluster, job, spec=retime).refusal is None


def test_a_tick_that_was_decided_ahead_is_not_due_again_under_a_new_schedule():
    cluster = Cluster()
    job = cluster.add_job(schedule="* * * * *")
    cluster.run_until(at(59.5))
    (run,) = cluster.open_runs()
    spec = msgspec.structs.replace(job.spec, schedule=("*/1 * * * *", "0 3 * * *"))
    again = PutJob(at=cluster.now, job_id=job.id, spec=spec, next_due=at(60))
    assert cluster.do(again).refusal.code == "behind"
    cluster.add_job(schedule="0-59 * * * *")
    cluster.claim(run)
    cluster.run_until(at(61))
    assert [(r.id, r.state) for r in cluster.open_runs()] == [(run.id, "running")]
    assert cluster.state.jobs[job.id].next_due == at(120)


def test_a_decision_about_a_row_that_is_there_already_changes_nothing():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    held = cluster.state.jobs[job.id]
    decision = Decision(
        run_id=run.id, nominal_time=at(120), due_at=at(120), trigger="schedule", state="pending"
    )
    batch = JobDecisions(
        job_id=job.id, job_version=1, due=held.next_due, next_due=at(180), decisions=(decision,)
    )
    cluster.do(DecideTicks(at=at(120), term=1, jobs=(batch,)))
    assert cluster.open_runs() == [run]


@pytest.mark.parametrize("pause", ["paused", "cluster_paused"])
def test_a_pause_that_was_agreed_before_a_decision_wins(pause):
    cluster = Cluster()
    job = cluster.add_job()
    cluster.now = at(59.5)
    decided = cluster.plan()
    if pause == "paused":
        cluster.do(PauseJob(at=cluster.now, job_id=job.id, paused=True))
    else:
        cluster.do(PauseCluster(at=cluster.now, paused=True))
    for command in decided.commands:
        cluster.do(command)
    assert cluster.outcomes() == [("12:01:00", "skipped", pause)]
    assert not cluster.open_runs()


def test_a_run_keeps_the_version_it_was_decided_with():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.run_until(at(59.5))
    for number in range(30):
        put(cluster, job, spec={"script": f"echo {number}\n"})
    (run,) = cluster.open_runs()
    assert cluster.state.job_version(job.id, run.job_version).spec.script == "true\n"
    cluster.claim(run)
    cluster.finish(run)
    assert cluster.state.job_version(job.id, 1) is None
    assert len(cluster.state.versions[job.id]) == 20


def test_deleting_a_job_skips_what_waits_and_kills_what_runs_if_asked():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", overlap="allow")
    cluster.trigger(job, key="runs")
    cluster.decide()
    (running,) = cluster.claim_all()
    waiting = cluster.trigger(job, key="waits")
    outcome = cluster.do(DeleteJob(at=NOON, by="user:ada", job_id=job.id, kill=True))
    assert [(row.id, row.state, row.reason) for row in outcome.rows] == [
        (waiting.id, "skipped", "deleted")
    ]
    assert cluster.state.open_runs[running.id].kill.reason is Reason.DELETED
    cluster.finish(running, RunState.KILLED)
    assert cluster.rows[-1].reason is Reason.DELETED
    assert not cluster.state.versions


def test_an_idempotency_key_gives_the_same_run_again():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual")
    first = cluster.trigger(job, key="a", idempotency_key="deploy-7")
    cluster.now = at(5)
    again = cluster.trigger(job, key="b", idempotency_key="deploy-7")
    assert again == first
    assert len(cluster.open_runs()) == 1


def test_asking_again_with_a_key_starts_nothing_after_the_run_is_among_the_last_no_more():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual")
    first = cluster.trigger(job, key="0", idempotency_key="deploy-7")
    number = 0
    while cluster.state.run(first.id) is not None:
        cluster.decide()
        for run in cluster.claim_all():
            cluster.finish(run)
        number += 1
        cluster.trigger(job, key=str(number))
    before = cluster.open_runs()
    assert cluster.trigger(job, key="0", idempotency_key="deploy-7") == first.id
    assert cluster.open_runs() == before


def test_a_claim_counts_only_while_the_run_is_assigned_to_that_node():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.open_runs()
    other = "n3" if run.node == "n2" else "n2"
    claims = (Claim(run_id=run.id, attempt=1),)
    assert cluster.do(ClaimRuns(at=NOON, node=other, claims=claims)).value == ()
    late = (Claim(run_id=run.id, attempt=2),)
    assert cluster.do(ClaimRuns(at=NOON, node=run.node, claims=late)).value == ()
    assert cluster.claim(run) == (run.id,)
    assert cluster.claim(run) == ()


def test_a_kill_before_the_claim_ends_the_run_and_a_later_claim_is_refused():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.open_runs()
    cluster.do(RequestKill(at=NOON, by="user:ada", run_id=run.id))
    assert cluster.claim(run) == ()
    assert [(row.state, row.reason, row.kill.by) for row in cluster.rows] == [
        ("killed", "requested", "user:ada")
    ]


def test_a_killed_run_shows_who_asked_and_that_it_is_gone():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", kill_grace_seconds=3)
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    for _ in range(2):
        cluster.do(RequestKill(at=at(1), by="user:ada", run_id=run.id))
    assert cluster.state.open_runs[run.id].kill.grace_seconds == 3
    cluster.now = at(4)
    cluster.finish(run, RunState.KILLED, signalled_at=at(1.5))
    kill = cluster.rows[-1].kill
    assert (kill.requested_at, kill.signalled_at, kill.confirmed_at) == (at(1), at(1.5), at(4))
    assert cluster.do(RequestKill(at=at(5), run_id=run.id)).refusal.code == "conflict"


def test_a_result_that_is_told_twice_changes_nothing():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    assert cluster.finish(run) == (run.id,)
    digest = cluster.state.digest()
    assert cluster.finish(run, RunState.FAILED) == ()
    assert cluster.state.digest() == digest


def test_decisions_of_an_older_term_are_refused():
    cluster = Cluster()
    cluster.add_job()
    cluster.now = at(59.5)
    stale = cluster.plan().commands
    cluster.do(MarkNodes(at=cluster.now, term=2))
    assert [cluster.do(command).refusal.code for command in stale] == ["stale_term"]
    assert cluster.open_runs() == []


@pytest.mark.parametrize("change", ["version", "due", "backwards", "state"])
def test_decisions_that_do_not_fit_the_job_are_left_out(change):
    cluster = Cluster()
    job = cluster.add_job()
    decision = Decision(
        run_id=run_id(job.id, at(60)),
        nominal_time=at(60),
        due_at=at(60),
        trigger=Trigger.SCHEDULE,
        state=RunState.SUCCEEDED if change == "state" else RunState.PENDING,
    )
    batch = JobDecisions(
        job_id=job.id,
        job_version=2 if change == "version" else 1,
        due=at(120) if change == "due" else at(60),
        next_due=at(60) if change == "backwards" else at(120),
        decisions=(decision,),
    )
    outcome = cluster.do(DecideTicks(at=NOON, term=1, jobs=(batch,)))
    assert outcome.value == ()
    assert cluster.state.jobs[job.id] == job


def test_pausing_the_cluster_wins_over_runs_that_nobody_claimed_yet():
    cluster = Cluster()
    cluster.add_job()
    cluster.run_until(at(59.5))
    cluster.do(PauseCluster(at=cluster.now, paused=True))
    assert cluster.outcomes() == [("12:01:00", "skipped", "cluster_paused")]


def test_a_node_with_runs_in_hand_cannot_be_removed_while_it_is_up():
    cluster = Cluster("n1", "n2")
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    assert cluster.do(RemoveNode(at=NOON, name="n2")).refusal.code == "conflict"
    assert cluster.do(RemoveNode(at=NOON, name="nx")).refusal.code == "not_found"


def test_the_first_cluster_id_and_session_key_stay():
    cluster = Cluster()
    for key in (b"one", b"two"):
        cluster.do(InitCluster(at=NOON, cluster_id=key.decode(), session_key=key))
    assert (cluster.state.cluster_id, cluster.state.session_key) == ("one", b"one")


def test_a_link_works_once_and_not_after_it_expired():
    cluster = Cluster()
    for digest in ("a", "b"):
        link = Link(sha256=digest, purpose="setup", expires_at=at(900))
        cluster.do(PutLink(at=NOON, link=link))
    assert cluster.do(UseLink(at=at(1), sha256="a")).refusal is None
    assert cluster.do(UseLink(at=at(2), sha256="a")).refusal.code == "not_found"
    assert cluster.do(UseLink(at=at(901), sha256="b")).refusal.code == "not_found"


def test_tokens_and_users_come_and_go():
    cluster = Cluster()
    token = Token(
        id="t1", name="ci", role="operator", sha256="x", created_at=NOON, created_by="user:ada"
    )
    user = User(name="ada", role="admin", password="scrypt$", created_at=NOON)
    cluster.do(PutToken(at=NOON, token=token))
    cluster.do(PutUser(at=NOON, user=user, expect_new=True))
    assert cluster.do(PutUser(at=NOON, user=user, expect_new=True)).refusal.field == "name"
    cluster.do(RevokeToken(at=NOON, token_id="t1"))
    assert (list(cluster.state.tokens), list(cluster.state.users)) == ([], ["ada"])


def test_a_password_is_changed_by_who_knew_the_present_one_and_nothing_else_is():
    cluster = Cluster()
    user = User(name="ada", role="admin", password="old", created_at=NOON)
    cluster.do(PutUser(at=NOON, user=user))

    def change(name, known):
        return cluster.do(ChangePassword(at=NOON, name=name, known=known, password="new")).refusal

    assert change("eve", "old").code == "not_found"
    assert change("ada", "older").code == "conflict"
    cluster.do(PutUser(at=NOON, user=msgspec.structs.replace(user, role="viewer")))
    assert change("ada", "old") is None
    assert (cluster.state.users["ada"].role, cluster.state.users["ada"].password) == (
        "viewer",
        "new",
    )


def test_commands_survive_the_wire_and_foreign_bytes_are_refused():
    command = PauseCluster(at=NOON, by="user:ada", paused=True)
    data = encode_command(command)
    assert decode_command(data) == command
    for broken in (b"", data[1:], b"\x02" + data[1:], data[:-1], data + b"x", b"\x01\xff"):
        with pytest.raises(ValueError):  # noqa: PT011  msgspec's own subclasses count
            decode_command(broken)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (RemoveUser(at=NOON, name="a/b"), "name"),
        (DrainNode(at=NOON, name="\x1f", draining=True), "name"),
        (SetLogLevel(at=NOON, name="n1", level="loud"), "level"),
        (PutNode(at=NOON, node=node("n" * 200)), "node.name"),
        (PauseCluster(at=NOON, by="user:\ud800", paused=True), ""),
    ],
)
def test_what_no_node_could_read_is_never_agreed_on(command, field):
    with pytest.raises(Invalid) as refused:
        encode_command(command)
    assert [error.field for error in refused.value.errors] == [field]


def test_a_node_that_introduces_itself_again_keeps_its_join_time_and_draining():
    cluster = Cluster("n1", "n2")
    outcome = cluster.do(PutNode(at=at(9), node=node("n2", version="2.0", joined_at=at(9))))
    assert (outcome.value.joined_at, outcome.value.version) == (NOON, "2.0")


def test_a_node_that_never_looks_at_what_is_due_does_not_keep_every_tick_there_was():
    follower = ClusterState()
    job = Cluster().add_job(schedule="* * * * * *")
    for second in range(1, 500):
        follower.put_job(msgspec.structs.replace(job, next_due=at(second)))
    assert len(follower._due) < 100
    assert follower.next_due() == at(499)
