"""The story of a cluster on real hosts: rolled out, used, unplugged, upgraded, removed.

The tests build on each other and run in the order in which they stand here.
"""

import itertools
import re
from collections import Counter
from datetime import datetime, timedelta

import pytest
from lab import ENDED, wait_for

pytestmark = pytest.mark.slow

TICK_SECONDS = 5
BUSY_JOBS = 10
"""So many more jobs tick every second while the hosts are upgraded."""


def create(lab, host, name, script, **fields):
    answer = lab.call(host, "POST", "/api/v1/jobs", {"name": name, "script": script, **fields})
    assert answer.status == 201, answer


def run_now(lab, host, name):
    answer = lab.call(host, "POST", f"/api/v1/jobs/{name}/run", {})
    assert answer.status == 202, answer
    return answer.json()["id"]


def output(lab, host, run):
    answer = lab.call(host, "GET", f"/api/v1/runs/{run['id']}/log")
    assert answer.status == 200, answer
    return answer.body


def releases(lab):
    return {lab.ssh(host, "readlink /opt/croncord/current").strip() for host in lab.hosts}


def settled(lab, host, name):
    """Return the runs of a job once none is pending or running."""
    found = lab.get(host, f"/api/v1/runs?job={name}&limit=500")["items"]
    return found if all(run["state"] in ENDED for run in found) else None


def test_a_dry_run_on_bare_hosts_works_and_changes_nothing(lab, wheel):
    recap = lab.play("site.yml", "--check", wheel=wheel)
    assert recap.failed == 0, recap.output
    assert recap.changed > 0
    for host in lab.hosts:
        assert lab.ssh(host, "ls -d /opt/croncord /etc/croncord 2>/dev/null; true") == ""
    assert not lab.token_file.exists()


def test_one_command_makes_a_cluster_of_bare_hosts(cluster):
    for host in cluster.hosts:
        assert cluster.is_ready(host)
        names = [node["name"] for node in cluster.get(host, "/api/v1/nodes")["items"]]
        assert names == [each.name for each in cluster.hosts]
        assert "3 of 3 nodes up" in cluster.ssh(host, "croncord cluster status")
    assert cluster.token_file.stat().st_mode & 0o777 == 0o600


def test_secrets_are_the_same_on_all_hosts_and_closed_to_others(cluster):
    for name in ("secret", "bootstrap-token"):
        contents = {cluster.ssh(host, f"cat /etc/croncord/{name}") for host in cluster.hosts}
        modes = {
            cluster.ssh(host, f"stat -c %a /etc/croncord/{name}").strip() for host in cluster.hosts
        }
        assert len(contents) == 1
        assert modes == {"600"}


def test_pages_and_api_are_https_and_say_so_to_http(cluster):
    for host in cluster.hosts:
        assert cluster.url(host).startswith("https:")
        asked = f"curl -s {cluster.url(host).replace('https:', 'http:')}/"
        assert "speaks HTTPS" in cluster.run("exec", *asked.split()).stdout


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_a_second_run_changes_nothing(cluster, wheel, options):
    recap = cluster.play("site.yml", *options, wheel=wheel)
    assert (recap.changed, recap.failed) == (0, 0), recap.output


def test_a_job_made_on_any_node_runs_and_is_read_on_every_node(cluster):
    for host in cluster.hosts:
        create(
            cluster, host, f"by-{host.name}", f"echo made by {host.name}; id -un\n", user="nobody"
        )
        run = cluster.wait_run(host, run_now(cluster, host, f"by-{host.name}"))
        assert run["state"] == "succeeded", run
        for other in cluster.hosts:
            assert output(cluster, other, run) == f"made by {host.name}\nnobody\n".encode()


def can_create(lab, host, name, script):
    answer = lab.call(host, "POST", "/api/v1/jobs", {"name": name, "script": script})
    return answer.status in (201, 409)  # 409: the try before this one was done without an answer


def test_the_cluster_goes_on_when_the_plug_of_the_leader_is_pulled(cluster):
    lost = cluster.leader()
    left = [host for host in cluster.hosts if host != lost]
    cluster.run("kill", lost.name)
    try:
        wait_for(lambda: can_create(cluster, left[0], "after", "echo on\n"), 60, "a new leader")
        run = cluster.wait_run(left[1], run_now(cluster, left[1], "after"))
        assert run["state"] == "succeeded", run
        for host in left:
            assert output(cluster, host, run) == b"on\n", run
    finally:
        cluster.run("boot", lost.name)
    wait_for(lambda: cluster.is_ready(lost), 90, f"{lost.name} back by itself")
    assert output(cluster, lost, run) == b"on\n"


def test_an_upgrade_harms_no_script_and_loses_or_doubles_no_tick(cluster, next_wheel):
    first = cluster.hosts[0]
    before = releases(cluster)
    every = f"*/{TICK_SECONDS} * * * * *"
    create(cluster, first, "ticking", "echo tick\n", schedule=every, overlap="allow")
    busy = [f"busy-{number}" for number in range(BUSY_JOBS)]
    for name in busy:
        witness = f"echo $CRONCORD_NOMINAL_TIME >>/var/tmp/{name}\n"
        create(cluster, first, name, witness, schedule="* * * * * *", overlap="allow")
    names = [f"long-{host.name}" for host in cluster.hosts]
    for host, name in zip(cluster.hosts, names, strict=True):
        create(cluster, first, name, "sleep 240; echo whole\n", target={"nodes": [host.name]})
    runs = [run_now(cluster, first, name) for name in names]
    for run in runs:
        cluster.wait_run(first, run, "running")
    leader = cluster.leader()

    recap = cluster.play("upgrade.yml", wheel=next_wheel)

    assert (recap.failed, recap.unreachable) == (0, 0), recap.output
    assert len(releases(cluster)) == 1
    assert releases(cluster) != before
    assert re.findall(r"activate.yml for (\S+)", recap.output)[-1] == leader.name
    for run in runs:
        ended = wait_for(lambda run=run: cluster.wait_run(first, run), 300, "a long run")
        assert (ended["state"], ended["attempt"]) == ("succeeded", 1), ended
        assert output(cluster, first, ended) == b"whole\n"
    assert cluster.call(first, "POST", "/api/v1/jobs/ticking/pause").status == 200
    ticks = wait_for(lambda: settled(cluster, first, "ticking"), 30, "the last tick")
    nominal = sorted(datetime.fromisoformat(tick["nominal_time"]) for tick in ticks)
    steps = {later - earlier for earlier, later in itertools.pairwise(nominal)}
    assert steps == {timedelta(seconds=TICK_SECONDS)}
    assert {tick["state"] for tick in ticks} == {"succeeded"}, [
        (tick["nominal_time"], tick["state"], tick["reason"])
        for tick in ticks
        if tick["state"] != "succeeded"
    ]
    for name in busy:
        assert_each_tick_once(cluster, name)


def assert_each_tick_once(cluster, name):
    """Every second has one row, and what the scripts wrote down says the same as the rows."""
    first = cluster.hosts[0]
    assert cluster.call(first, "POST", f"/api/v1/jobs/{name}/pause").status == 200
    ticks = wait_for(lambda: settled(cluster, first, name), 30, f"the last tick of {name}")
    nominal = sorted(datetime.fromisoformat(tick["nominal_time"]) for tick in ticks)
    steps = {later - earlier for earlier, later in itertools.pairwise(nominal)}
    assert steps == {timedelta(seconds=1)}
    seen = Counter(
        datetime.fromisoformat(line)
        for host in cluster.hosts
        for line in cluster.ssh(host, f"cat /var/tmp/{name} 2>/dev/null; true").split()
    )
    assert max(seen.values()) == 1
    ran = {
        datetime.fromisoformat(tick["nominal_time"])
        for tick in ticks
        if tick["state"] == "succeeded"
    }
    assert ran == {tick for tick in seen if tick >= nominal[0]}
    unexplained = [tick for tick in ticks if tick["state"] != "succeeded" and not tick["reason"]]
    assert not unexplained


def test_a_changed_setting_reaches_every_node(cluster, next_wheel):
    recap = cluster.play("site.yml", wheel=next_wheel, croncord_labels={"site": "north"})
    assert recap.failed == 0, recap.output
    nodes = cluster.get(cluster.hosts[0], "/api/v1/nodes")["items"]
    assert [node["labels"] for node in nodes] == [{"site": "north"}] * len(nodes)


def test_an_upgrade_goes_back_to_a_release_that_is_still_there(cluster):
    name = cluster.ssh(cluster.hosts[0], "ls -t /opt/croncord | grep -v current").split()
    current = releases(cluster).pop().rpartition("/")[2]
    other = next(release for release in name if release != current)
    recap = cluster.play("upgrade.yml", croncord_release=other)
    assert recap.failed == 0, recap.output
    assert releases(cluster) == {f"/opt/croncord/{other}"}


def test_an_upgrade_does_not_begin_while_a_member_is_down(cluster, next_wheel):
    down = next(host for host in cluster.hosts if host != cluster.leader())
    cluster.ssh(down, "systemctl stop croncord")
    before = releases(cluster)
    recap = cluster.play("upgrade.yml", wheel=next_wheel)
    assert recap.failed > 0
    assert releases(cluster) == before
    cluster.ssh(down, "systemctl start croncord")
    wait_for(lambda: cluster.is_ready(down), 60, f"{down.name} back")


def test_a_host_that_lost_everything_is_made_whole_again(cluster, wheel):
    empty = next(host for host in cluster.hosts if host != cluster.leader())
    cluster.ssh(empty, "systemctl disable --now croncord; rm -rf /{var/lib,etc,opt}/croncord")
    recap = cluster.play("site.yml", wheel=wheel)
    assert recap.failed == 0, recap.output
    assert cluster.get(empty, "/api/v1/jobs/after?stale=allow")["name"] == "after"
    run = cluster.wait_run(empty, run_now(cluster, empty, "after"))
    assert run["state"] == "succeeded", run


def test_one_host_is_removed_and_comes_back_while_the_others_go_on(cluster, wheel):
    gone = cluster.leader()
    left = [host for host in cluster.hosts if host != gone]
    recap = cluster.play("remove.yml", "--limit", gone.name, croncord_remove_data=True)
    assert recap.failed == 0, recap.output
    assert cluster.call(gone, "GET", "/readyz").status == 0
    for host in left:
        name = f"without-{gone.name}-on-{host.name}"
        wait_for(lambda h=host, n=name: can_create(cluster, h, n, "echo on\n"), 60, "a leader")
        run = cluster.wait_run(host, run_now(cluster, host, name))
        assert (run["state"], run["node"] != gone.name) == ("succeeded", True), run
    refused = cluster.play("remove.yml", "--limit", left[0].name)
    assert refused.failed > 0, "two of three cannot go"
    recap = cluster.play("site.yml", wheel=wheel)
    assert recap.failed == 0, recap.output
    assert cluster.get(gone, f"/api/v1/jobs/{name}?stale=allow")["name"] == name


def test_what_was_removed_comes_back_with_its_jobs_unless_the_data_went_too(cluster, wheel):
    assert cluster.play("remove.yml").failed == 0
    for host in cluster.hosts:
        assert cluster.call(host, "GET", "/readyz").status == 0
        assert cluster.ssh(host, "ls -d /opt/croncord 2>/dev/null; true") == ""
    assert cluster.play("site.yml", wheel=wheel).failed == 0
    assert cluster.get(cluster.hosts[1], "/api/v1/jobs/after")["name"] == "after"
    assert cluster.play("remove.yml", croncord_remove_data=True).failed == 0
    for host in cluster.hosts:
        left = cluster.ssh(host, "ls -d /etc/croncord /var/lib/croncord 2>/dev/null; true")
        assert left == ""
    assert cluster.play("remove.yml", croncord_remove_data=True).changed == 0
