"""What is wrong with a cluster, judged from its own report, and what to do about it. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from croncord.cli import words

CLOCK_WARNING_MS = 500
CLOCK_LIMIT_MS = 5000
"""Nodes further off than this get no work."""
DISK_WARNING_PERCENT = 85
DISK_LIMIT_PERCENT = 95
LAG_ENTRIES = 1000

Verdict = Literal["ok", "warning", "bad"]
Node = Mapping[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    message: str
    advice: str = ""
    """What to do; empty when all is well."""


def diagnose(cluster: Mapping[str, Any]) -> list[Finding]:
    """Judge the answer of `GET /api/v1/cluster`, given by any node."""
    nodes: Sequence[Node] = cluster["nodes"]
    found = [_quorum(cluster), _spare(cluster), *_paused(cluster)]
    for check in (_up, _clocks, _versions, _zones, _disks, _lag):
        found += check(nodes) or [Finding(_NAMES[check.__name__], "ok", _WELL[check.__name__])]
    return found


_NAMES = {
    "_up": "nodes",
    "_clocks": "clocks",
    "_versions": "versions",
    "_zones": "time zones",
    "_disks": "disks",
    "_lag": "copies of the state",
}
_WELL = {
    "_up": "every node answers and takes work",
    "_clocks": f"no clock is more than {CLOCK_WARNING_MS} ms off",
    "_versions": "every node runs the same version",
    "_zones": "every node has the same time zone data",
    "_disks": f"no disk is more than {DISK_WARNING_PERCENT} % full",
    "_lag": "every node has applied what was agreed",
}


def _quorum(cluster: Mapping[str, Any]) -> Finding:
    if cluster["leader"] and cluster["quorum"]:
        return Finding("quorum", "ok", f"{words.cell(cluster['leader'])} leads with a majority")
    voters, majority = cluster["voters"], cluster["majority"]
    return Finding(
        "quorum",
        "bad",
        "no leader: nothing new is launched and nothing can be changed",
        f"Start nodes until {majority} of the {voters} voters run and reach each other's Raft "
        "port. If a majority of the disks is lost for good: croncord cluster recover --help",
    )


def _spare(cluster: Mapping[str, Any]) -> Finding:
    voters, spare = cluster["voters"], cluster["survives"]
    if voters == 1:
        return Finding(
            "spare",
            "warning",
            "one voter: its loss stops everything",
            "Join two more nodes: croncord cluster join-token",
        )
    if voters % 2 == 0:
        return Finding(
            "spare",
            "warning",
            f"{voters} voters survive the loss of {spare}, no more than {voters - 1} would",
            "Add one node, or take one away.",
        )
    return Finding("spare", "ok", f"{voters} voters survive the loss of {spare}")


def _paused(cluster: Mapping[str, Any]) -> Iterator[Finding]:
    if cluster["paused"]:
        yield Finding(
            "pause",
            "warning",
            "the cluster is paused: ticks are skipped",
            "croncord cluster resume",
        )


def _up(nodes: Sequence[Node]) -> list[Finding]:
    found = []
    for node in nodes:
        name = words.cell(node["name"])
        if node["state"] == "down":
            message = f"{name} does not answer"
            advice = (
                f"Look at it: systemctl status croncord. Gone for good: croncord node remove {name}"
            )
            found.append(Finding("nodes", "bad", message, advice))
        elif node["state"] == "draining":
            message = f"{name} is draining: it takes no new runs"
            found.append(Finding("nodes", "warning", message, f"croncord node undrain {name}"))
    return found


def _clocks(nodes: Sequence[Node]) -> list[Finding]:
    found = []
    for node in nodes:
        offset = node["clock_offset_ms"]
        if offset is None or abs(offset) <= CLOCK_WARNING_MS:
            continue
        message = f"the clock of {words.cell(node['name'])} is {offset:+d} ms from the leader's"
        if abs(offset) > CLOCK_LIMIT_MS:
            message += ", so it gets no work"
        verdict: Verdict = "bad" if abs(offset) > CLOCK_LIMIT_MS else "warning"
        advice = "Run a time service there: timedatectl set-ntp true"
        found.append(Finding("clocks", verdict, message, advice))
    return found


def _versions(nodes: Sequence[Node]) -> list[Finding]:
    return _differing(nodes, "version", "versions", "Finish the upgrade, one node at a time.")


def _zones(nodes: Sequence[Node]) -> list[Finding]:
    advice = "Install the same tzdata package everywhere: a schedule may mean different times."
    return _differing(nodes, "tzdata", "time zones", advice)


def _differing(nodes: Sequence[Node], field: str, check: str, advice: str) -> list[Finding]:
    counts = Counter(str(node[field]) for node in nodes)
    if len(counts) < 2:
        return []
    told = ", ".join(
        f"{words.cell(value)} on {words.plural(n, 'node')}" for value, n in counts.most_common()
    )
    return [Finding(check, "warning", f"nodes differ: {told}", advice)]


def _disks(nodes: Sequence[Node]) -> list[Finding]:
    found = []
    for node in nodes:
        disk = node["disk"]
        if not disk or not disk["total_bytes"]:
            continue
        percent = 100 * disk["used_bytes"] / disk["total_bytes"]
        if percent > DISK_WARNING_PERCENT:
            verdict: Verdict = "bad" if percent > DISK_LIMIT_PERCENT else "warning"
            message = f"the disk of {words.cell(node['name'])} is {percent:.0f} % full"
            advice = "Free space, or keep less: retention of the jobs that print most."
            found.append(Finding("disks", verdict, message, advice))
    return found


def _lag(nodes: Sequence[Node]) -> list[Finding]:
    applied = {node["name"]: node["applied_index"] for node in nodes if node["applied_index"]}
    newest = max(applied.values(), default=0)
    return [
        Finding(
            "copies of the state",
            "warning",
            f"{words.cell(name)} is {newest - index} entries behind",
            "It catches up by itself; if not, look at its log and its network.",
        )
        for name, index in applied.items()
        if newest - index > LAG_ENTRIES
    ]
