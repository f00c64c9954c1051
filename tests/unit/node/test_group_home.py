"""Where a node makes control groups, on machines of all kinds that are directories of a test."""

import os
from pathlib import Path

import pytest

from croncord.node.group import Group
from croncord.node.group_home import find_home, label_of

LIMITS = {"memory_bytes": 64 << 20, "processes": 9, "cpu_percent": 150}


class Machine:
    """What a kernel shows of control groups, as files."""

    def __init__(self, root: Path):
        self.root = root
        self.proc = root / "proc"
        self.proc.mkdir()
        self.mounts: list[str] = []
        self.lines: list[str] = []
        self.systemd = root / "no-systemd"

    def version_2(self, own: str, controllers="memory pids cpu io") -> Path:
        mount = self.root / "unified"
        self.mounts.append(f"30 23 0:26 / {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate")
        self.lines.append(f"0::{own}")
        directory = mount / own.lstrip("/")
        directory.mkdir(parents=True)
        for group in (directory, *directory.parents):
            if group.is_relative_to(mount):
                (group / "cgroup.procs").touch()
                (group / "cgroup.controllers").write_text(controllers)
                (group / "cgroup.subtree_control").touch()
        return directory

    def version_1(self, names: str, own: str) -> Path:
        mount = self.root / names
        self.mounts.append(f"31 23 0:27 / {mount} rw - cgroup cgroup rw,{names}")
        self.lines.append(f"{len(self.lines) + 1}:{names}:{own}")
        directory = mount / own.lstrip("/")
        directory.mkdir(parents=True)
        (directory / "cgroup.procs").touch()
        return directory

    def home(self):
        (self.proc / "mountinfo").write_text("\n".join(self.mounts))
        (self.proc / "cgroup").write_text("\n".join(self.lines))
        return find_home("me", self.proc, self.systemd)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def prepare_control(home: Path) -> None:
    """Put the file there that the kernel puts into a new group."""
    home.mkdir()
    (home / "cgroup.subtree_control").touch()


def test_a_machine_without_control_groups_says_so(machine):
    home = machine.home()
    assert (home.is_used, home.holds_cpu) == (False, False)
    assert home.lacking == "this machine has no control groups"
    assert home.places("r.1", ["cpu"]) is None
    home.let_go("r.1")
    home.tidy(())
    home.close()


def test_a_daemon_below_a_delegated_group_makes_its_runs_groups_beside_itself(machine):
    own = machine.version_2("/system.slice/croncord.service/daemon")
    prepare_control(own.parent / "croncord-me")
    home = machine.home()
    assert (home.is_used, home.holds_cpu, home.lacking) == (True, True, "")
    group = str(own.parent / "croncord-me" / "r.1")
    assert home.places("r.1", []) == {
        "members": group,
        "memory": group,
        "pids": group,
        "cpu": group,
        "outside": str(own),
    }
    # Handed on by the delegated group and by the home, so that each run's group has them.
    for group in (own.parent, own.parent / "croncord-me"):
        assert (group / "cgroup.subtree_control").read_text() == "+cpu"  # the last of three


def test_a_controller_that_is_handed_on_already_is_left_alone(machine):
    own = machine.version_2("/a/daemon")
    prepare_control(own.parent / "croncord-me")
    for group in (own.parent, own.parent / "croncord-me"):
        (group / "cgroup.subtree_control").write_text("cpu memory pids")
    assert machine.home().holds_cpu
    assert (own.parent / "cgroup.subtree_control").read_text() == "cpu memory pids"


def test_a_machine_that_lacks_a_controller_still_finds_and_ends_by_group(machine):
    machine.version_2("/", controllers="hugetlb")
    home = machine.home()
    assert (home.is_used, home.holds_cpu) == (True, False)
    assert "no controller" in home.lacking
    assert set(home.places("r.1", ["memory", "cpu"])) == {"members", "outside"}


def test_a_kernel_that_refuses_to_hand_on_is_told_with_the_remedy(machine):
    own = machine.version_2("/system.slice/croncord.service")
    (own / "cgroup.subtree_control").unlink()
    home = machine.home()
    assert (home.is_used, home.holds_cpu) == (True, False)
    assert "DelegateSubgroup=daemon" in home.lacking


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write where nothing was delegated")
def test_under_systemd_root_keeps_out_of_what_was_not_delegated(machine):
    machine.version_2("/user.slice/user-0.slice/session-1.scope")
    machine.version_1("memory", "/user.slice")
    machine.systemd = machine.root
    home = machine.home()
    assert not home.is_used
    assert "is not delegated to the daemon" in home.lacking


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave that mark")
def test_under_systemd_the_mark_of_delegation_counts(machine):
    own = machine.version_2("/system.slice/croncord.service", controllers="")
    os.setxattr(own, "trusted.delegate", b"1")
    delegated = machine.version_1("cpu,cpuacct", "/system.slice/croncord.service")
    machine.version_1("memory", "/")
    machine.systemd = machine.root
    home = machine.home()
    assert home.places("r.1", ["cpu", "memory"]) == {
        "members": str(own / "croncord-me" / "r.1"),
        "cpu": str(delegated / "croncord-me" / "r.1"),
        "outside": str(own),
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="version 1 is for root")
def test_version_1_alone_keeps_members_in_the_freezer(machine):
    memory = machine.version_1("memory", "/box")
    freezer = machine.version_1("freezer", "/")
    home = machine.home()
    assert home.places("r.1", ["memory"]) == {
        "members": str(freezer / "croncord-me" / "r.1"),
        "memory": str(memory / "croncord-me" / "r.1"),
        "outside": str(freezer),
    }
    assert "memory" not in home.places("r.2", [])
    assert not (memory / "croncord-me").exists(), "it is made with the first run that needs it"


def test_a_group_outside_of_what_is_mounted_here_is_not_used(machine):
    machine.mounts.append(f"30 23 0:26 /inside {machine.root} rw - cgroup2 cgroup2 rw")
    machine.lines.append("0::/outside")
    assert not machine.home().is_used


def test_two_nodes_of_one_machine_have_homes_of_their_own(tmp_path):
    assert label_of(tmp_path / "a") != label_of(tmp_path / "b")
    assert label_of(tmp_path / "a") == label_of(tmp_path / "b" / ".." / "a")


def files(directory: Path, *names: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).touch()


def test_limits_in_the_words_of_version_2(tmp_path):
    place = tmp_path / "r.1"
    files(place, "memory.max", "memory.oom.group", "memory.swap.max", "pids.max", "cpu.max")
    files(place, "cgroup.procs", "cgroup.kill")
    outside = tmp_path / "daemon"
    files(outside, "cgroup.procs")
    places = dict.fromkeys(("members", "memory", "pids", "cpu"), str(place))
    group = Group(places | {"outside": str(outside)})
    group.make(LIMITS)
    group.join()
    group.leave()
    assert (outside / "cgroup.procs").read_text() == "0"
    group.kill()
    told = {file.name: file.read_text() for file in place.iterdir()}
    assert told == {
        "memory.max": str(64 << 20),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "9",
        "cpu.max": "150000 100000",
        "cgroup.procs": "0",
        "cgroup.kill": "1",
    }


def test_who_could_not_leave_the_group_again_does_not_kill_itself_with_it(tmp_path):
    files(tmp_path, "cgroup.procs", "cgroup.kill")
    group = Group({"members": str(tmp_path), "outside": str(tmp_path / "gone")})
    group.join()
    group.leave()
    group.kill()
    assert (tmp_path / "cgroup.kill").read_text() == ""


def test_limits_in_the_words_of_version_1(tmp_path):
    names = {
        "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        "pids": ("pids.max",),
        "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us"),
    }
    places = {role: tmp_path / role for role in names}
    for role, place in places.items():
        files(place, *names[role])
    group = Group({"members": str(places["pids"])} | {k: str(v) for k, v in places.items()})
    group.make(LIMITS)
    assert (places["memory"] / "memory.memsw.limit_in_bytes").read_text() == str(64 << 20)
    assert (places["cpu"] / "cpu.cfs_quota_us").read_text() == "150000"


EVENTS = [
    ("memory.events", "low 0\nmax 12\noom 0\noom_kill 0\n", ""),
    ("memory.events", "low 0\nmax 12\noom 1\noom_kill 2\n", "limit_memory"),
    ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "limit_memory"),
    ("pids.events", "max 0\n", ""),
    ("pids.events", "max 3\n", "limit_processes"),
]


@pytest.mark.parametrize(("name", "text", "told"), EVENTS)
def test_which_limit_the_kernel_had_to_hold(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    group = Group(dict.fromkeys(("members", "memory", "pids"), str(tmp_path)))
    assert group.broken() == told


def test_a_group_that_is_gone_has_nobody_and_is_removed(tmp_path):
    group = Group({"members": str(tmp_path / "gone")})
    group.kill()
    assert (group.pids(), group.broken(), group.cpu_seconds()) == ([], "", None)
    assert group.remove()


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/sys/fs/cgroup/freezer/cgroup.procs").exists(),
    reason="needs version 1 with a freezer",
)
def test_freeze_and_kill_ends_all_of_it():
    place = Path("/sys/fs/cgroup/freezer") / f"croncord-test-{os.getpid()}"
    group = Group({"members": str(place)})
    group.make({"memory_bytes": None, "processes": None, "cpu_percent": None})
    try:
        children = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                group.join()
                os.execv("/bin/sleep", ["sleep", "600"])  # noqa: S606  a process to end
            children.append(pid)
        while sorted(group.pids()) != sorted(children):
            os.sched_yield()
        group.kill()
        assert [os.waitpid(pid, 0)[1] for pid in children] == [9, 9, 9]
    finally:
        assert group.remove()
