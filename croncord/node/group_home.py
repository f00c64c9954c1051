"""Where this node makes the control groups of its runs, if the machine lets it.

A node uses groups below its own and nowhere else, and only where that was handed to it:

- version 2: the parent of its own group when that is called `daemon` (a systemd service with
  `Delegate=yes` and `DelegateSubgroup=daemon`), else its own group;
- version 1, as root: its own group of each controller.

Under systemd root could write everywhere; there the mark that systemd leaves on what it has
delegated counts. Limits need controllers, and version 2 hands these on only from a group that has
no process of its own. So a daemon that sits in the delegated group itself gets groups that find and
end a run and bound nothing. It does not move itself away: systemd would fail to start the service
again while scripts of its earlier life run, because it puts the new process where the old one was.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from croncord.node.group import CPU, MEMBERS, MEMORY, OUTSIDE, PROCESSES, Group

SUBGROUP: Final = "daemon"
"""Name of the group below the delegated one that the daemon is to be started in."""

_CONTROLLERS: Final = (MEMORY, PROCESSES, CPU)
_FREEZER: Final = "freezer"
_MARKS: Final = ("trusted.delegate", "user.delegate")


class Hierarchy(NamedTuple):
    """A mounted tree of control groups, and where this process is in it."""

    controllers: frozenset[str]
    """Empty for version 2, which keeps them in a file; `name=systemd` for systemd's own."""
    inner: str
    """The group of this process, as the kernel names it."""
    own: Path
    """The directory of that group."""


class GroupHome:
    """The groups of one node's runs; `places` is a directory for each role, see `Group`.

    The directory comes with the first run and goes with the last one, unless it hands controllers
    on: so a daemon that is killed and not started again leaves nothing behind, or one empty group.
    """

    def __init__(
        self, places: Mapping[str, Path], lacking: str = "", own: Path | None = None
    ) -> None:
        """`own` is the daemon's group in the hierarchy that knows members."""
        self._places = dict(places)
        self._own = own
        self.lacking = lacking
        """Why it cannot hold runs to all their limits; empty when it can."""
        self._remaining: set[str] = set()

    @property
    def is_used(self) -> bool:
        """Whether runs get groups at all."""
        return bool(self._places)

    @property
    def holds_cpu(self) -> bool:
        """Whether runs can be held to a share of the processor."""
        return CPU in self._places

    def places(self, name: str, roles: Iterable[str]) -> dict[str, str] | None:
        """Return the directories of a run's group, with those of these roles that there are."""
        if not self.is_used:
            return None
        wanted = {MEMBERS, *roles}
        shared = self._places[MEMBERS]
        places = {
            role: str(place / name)
            for role, place in self._places.items()
            if role in wanted or place == shared
        }
        return places | {OUTSIDE: str(self._own or shared.parent)}

    def let_go(self, name: str) -> None:
        """Remove the group of a run that is over; one that somebody still lives in is kept for later.

        Blocks.
        """
        if self.is_used:
            self._remaining.add(name)
            self._remaining = {it for it in self._remaining if not self._group(it).remove()}

    def tidy(self, living: Iterable[str]) -> None:
        """Remove what earlier lives left, except the groups of these runs. Blocks."""
        kept = set(living)
        for place in self._places.values():
            with contextlib.suppress(OSError):  # another program tidies at the same time
                found = {entry.name for entry in place.iterdir() if entry.is_dir()}
                for name in found - kept:
                    self.let_go(name)

    def close(self) -> bool:
        """Remove the home itself; returns False when a run is in it: the next life finds it there.

        Blocks.
        """
        for place in dict.fromkeys(self._places.values()):
            with contextlib.suppress(OSError):
                place.rmdir()
        return not any(place.exists() for place in self._places.values())

    def _group(self, name: str) -> Group:
        return Group({role: str(place / name) for role, place in self._places.items()})


NO_GROUPS: Final = GroupHome({}, "control groups are not used")


def label_of(runs: Path) -> str:
    """Return a label for the home of the node that keeps its runs in that directory."""
    return hashlib.sha256(os.fsencode(runs.resolve())).hexdigest()[:12]


def remove_home(runs: Path) -> None:
    """Remove the groups of a node that is not to come back, once its runs have ended. Blocks."""
    home = find_home(label_of(runs))
    home.tidy(())
    home.close()


def find_home(
    label: str, proc: Path = Path("/proc/self"), systemd: Path = Path("/run/systemd/system")
) -> GroupHome:
    """Return where this process may make groups, with a directory of that label there.

    Blocks. A machine that allows none gets a home that is not used and says why.
    """
    found = _hierarchies(proc)
    name = f"croncord-{label}"
    places: dict[str, Path] = {}
    lacking = "this machine has no control groups"
    own: Path | None = None
    unified = next((one for one in found if not one.controllers), None)
    if unified is not None:
        base = _base(unified.own, is_systemd=systemd.exists())
        if base is None:
            lacking = f"the control group {unified.own} is not delegated to the daemon"
        else:
            places[MEMBERS], own = base / name, unified.own
            enabled, lacking = _hand_on(base, base / name)
            places |= dict.fromkeys(enabled, base / name)
    if os.geteuid() == 0:
        handed = _handed_version_1(found, is_systemd=systemd.exists())
        places |= _version_1(handed, places, name)
    if set(_CONTROLLERS) <= places.keys():
        lacking = ""
    return GroupHome(places, lacking, own)


def _base(own: Path, *, is_systemd: bool) -> Path | None:
    candidates = (own.parent, own) if own.name == SUBGROUP else (own,)
    for path in candidates:
        # Who is not root can write only where somebody let it.
        if _is_writable(path) and (os.geteuid() != 0 or not is_systemd or _is_marked(path)):
            return path
    return None


def _hand_on(base: Path, home: Path) -> tuple[list[str], str]:
    """Give the home its controllers; returns those it has, and why it lacks one."""
    offered = (base / "cgroup.controllers").read_text().split()
    enabled: list[str] = []
    lacking = ""
    for controller in _CONTROLLERS:
        if controller not in offered:
            lacking = f"the control group {base} has no controller for it"
            continue
        try:
            _enable(controller, base)
            home.mkdir(exist_ok=True)
            _enable(controller, home)
        except OSError:  # then this one is not bounded by the kernel, and the sentence says so
            lacking = (
                f"the daemon sits in the control group {base} itself; as a systemd service it needs "
                f"DelegateSubgroup={SUBGROUP}, which systemd knows since version 254"
            )
            continue
        enabled.append(controller)
    return enabled, lacking


def _enable(controller: str, group: Path) -> None:
    control = group / "cgroup.subtree_control"
    if controller not in control.read_text().split():
        control.write_text(f"+{controller}")


def _handed_version_1(found: list[Hierarchy], *, is_systemd: bool) -> list[Hierarchy]:
    controlled = [one for one in found if one.controllers and _is_writable(one.own)]
    if not is_systemd:
        return controlled
    # systemd leaves its mark in one hierarchy only, and delegates the same path in all.
    marked = {one.inner for one in found if _is_marked(one.own)}
    return [one for one in controlled if one.inner in marked]


def _version_1(handed: list[Hierarchy], known: Mapping[str, Path], name: str) -> dict[str, Path]:
    """Make a home for each controller that is not there yet, and for members if nobody has them."""
    homes: dict[str, Path] = {}
    for role in (*_CONTROLLERS, *(() if MEMBERS in known else (_FREEZER,))):
        own = next((one.own for one in handed if role in one.controllers), None)
        if role not in known and own is not None:
            homes[role] = own / name  # made with the first run that needs it
    freezer = homes.pop(_FREEZER, None)
    if MEMBERS not in known and (freezer or homes):
        homes[MEMBERS] = freezer or next(iter(homes.values()))
    return homes


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _is_marked(directory: Path) -> bool:
    for mark in _MARKS:
        with contextlib.suppress(OSError):  # no such mark
            if os.getxattr(directory, mark) == b"1":
                return True
    return False


def _hierarchies(proc: Path) -> list[Hierarchy]:
    """Read where control groups are mounted and where this process is in each."""
    try:
        mounts = (proc / "mountinfo").read_text().splitlines()
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:  # a machine without
        return []
    owns = [line.split(":", 2)[1:] for line in lines]
    found = []
    for mount in mounts:
        left, _, right = mount.partition(" - ")
        root, point = left.split()[3:5]
        kind, _, options = right.split()[:3]
        for names, inner in owns:
            controllers = frozenset(names.split(",")) if names else frozenset()
            if kind != ("cgroup" if names else "cgroup2") or not controllers <= {
                *options.split(",")
            }:
                continue
            # Outside of what is mounted here, as in a container that sees only its own part.
            if ".." not in inner and Path(inner).is_relative_to(root):
                own = Path(point) / Path(inner).relative_to(root)
                found.append(Hierarchy(controllers, inner, own))
    return found
