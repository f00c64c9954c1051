"""Equal parts of many definitions take room once."""

from builders import Cluster

from croncord.model import JobSpec, Limits, Retries
from croncord.raft.commands import PutJob, decode_command, encode_command
from croncord.raft.snapshot import decode_state, encode_state


def put(cluster, number, **fields):
    spec = JobSpec(name=f"job-{number}", script="true\n", **fields)
    command = PutJob(at=cluster.now, job_id=f"id-{number}", spec=spec, next_due=None)
    cluster.do(decode_command(encode_command(command)))
    return cluster.state.jobs[f"id-{number}"]


def test_what_is_as_usual_is_the_same_object_in_all_jobs_and_what_is_not_is_kept():
    cluster = Cluster()
    one, other = put(cluster, 1), put(cluster, 2, retries=Retries(count=3), timezone="Asia/Tokyo")
    assert one.spec.limits is other.spec.limits
    assert (other.spec.retries.count, other.spec.timezone) == (3, "Asia/Tokyo")
    assert one.spec == JobSpec(name="job-1", script="true\n")


def test_a_restored_job_and_its_newest_version_are_one_and_nothing_else_changes():
    cluster = Cluster()
    put(cluster, 1)
    put(cluster, 1, limits=Limits(processes=9))
    restored = decode_state(encode_state(cluster.state))
    assert restored.digest() == cluster.state.digest()
    assert restored.versions["id-1"] == cluster.state.versions["id-1"]
    old, new = restored.versions["id-1"]
    assert new is restored.jobs["id-1"]
    assert old.spec.retention is new.spec.retention
    assert old.spec.limits.processes is None
