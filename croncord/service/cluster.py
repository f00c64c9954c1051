"""The cluster and its machines."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from croncord import __version__
from croncord.clock import to_milliseconds
from croncord.errors import Conflict, FieldError, Invalid, NoLeader, NotFound
from croncord.lifecycle import RunState
from croncord.model import LogLevel, Node, PositiveSeconds, Value
from croncord.ports import Peers, Sighting
from croncord.preview import iso_utc
from croncord.raft.commands import DrainNode, PauseCluster, SetLabelLimits, SetLogLevel
from croncord.raft.port import ReplicaStatus
from croncord.service.agreement import Agreement
from croncord.service.backlog import CatchUp, backlog
from croncord.service.lookup import sees_job_id
from croncord.service.views import Json, Rows, Time, View, iso
from croncord.service.who import Who

LABELS_MAX = 100
LAG_MAX = 1000
"""Commands a node may be behind and still count as caught up."""
LABEL_LIMIT_MAX = 1_000_000


class Space(View, frozen=True, kw_only=True):
    """How much of a memory or disk is used."""

    used_bytes: int
    total_bytes: int


class NodeView(View, frozen=True, kw_only=True):
    """A machine, as agreed and as last heard of. What was never heard is null."""

    name: str
    state: str
    """`up`, `down`, `draining`, or `joining` until it has caught up for the first time."""
    role: str
    """`leader`, `follower` or `observer`."""
    http: str
    raft: str
    labels: dict[str, str]
    version: str
    tzdata: str
    max_runs: int
    joined_at: Time
    changed_at: Time
    last_seen: Time | None
    clock_offset_ms: int | None
    cpu_percent: float | None
    load_1m: float | None
    memory: Space | None
    disk: Space | None
    uptime_seconds: float | None
    running_runs: int
    applied_index: int | None
    holds_cpu: bool | None
    """Whether runs with `limits.cpu_percent` can be given to it."""
    groups_lack: str | None
    """Why its runs have no control group or one that does not bound everything; `` when all is well."""
    certificate_expires_at: Time | None
    """When its TLS certificate ends; null without one."""
    log_level: str | None
    """How much it was asked to say about itself; null when that is what its settings say."""
    log_level_until: Time | None
    """Until when; null for until it is changed back."""


class WantedLogLevel(Value, frozen=True, kw_only=True):
    """How much a node is to say about itself."""

    level: LogLevel | Literal["default"]
    """`default` is what its settings say."""
    for_seconds: PositiveSeconds | None = None
    """For how long; without it until it is changed back."""


class ClusterView(View, frozen=True, kw_only=True):
    """The cluster as the asked node sees it."""

    cluster_id: str
    node: str
    """Who answered."""
    leader: str | None
    term: int
    commit_index: int
    applied_index: int
    quorum: bool
    """Whether a majority of the voters can agree now."""
    voters: int
    majority: int
    survives: int
    """How many voters may fail before nothing can be agreed."""
    paused: bool
    jobs: int
    open_runs: int
    digest: str
    """Equal on nodes that applied the same index."""
    catch_up: list[CatchUp]
    """What is about to be caught up after an outage."""
    nodes: list[NodeView]
    version: str


class ClusterService:
    """What people see and do of the cluster."""

    def __init__(
        self,
        agreement: Agreement,
        name: str,
        sightings: Callable[[], Sequence[Sighting]],
        peers: Peers | None,
    ) -> None:
        self._agreement = agreement
        self._name = name
        self._sightings = sightings
        self._peers = peers

    async def show(self, who: Who, *, stale: bool = False) -> Json:
        """Return who leads, how far each is, and all nodes."""
        who.require("viewer")
        agreed = await self._agreement.read(stale=stale)
        status = self._agreement.replica.status()
        voters = len(status.members) or 1
        majority = voters // 2 + 1
        view = ClusterView(
            cluster_id=agreed.cluster_id,
            node=self._name,
            leader=status.leader,
            term=status.term,
            commit_index=status.commit_index,
            applied_index=status.applied_index,
            quorum=status.has_quorum,
            voters=voters,
            majority=majority,
            survives=voters - majority,
            paused=agreed.paused,
            jobs=len(agreed.jobs),
            open_runs=len(agreed.open_runs),
            digest=hashlib.sha256(agreed.digest().encode()).hexdigest(),
            catch_up=[
                job
                for job in backlog(agreed, self._agreement.now())
                if sees_job_id(agreed, who, job.job_id)
            ],
            nodes=self._nodes(status),
            version=__version__,
        )
        fields: Json = msgspec.to_builtins(view)
        return fields

    async def nodes(self, *, stale: bool = False) -> Rows:
        """Return all machines by name."""
        await self._agreement.read(stale=stale)
        nodes: Rows = msgspec.to_builtins(self._nodes(self._agreement.replica.status()))
        return nodes

    async def node(self, name: str, *, stale: bool = False) -> Json:
        """Return one machine. Raises NotFound."""
        found = next((n for n in await self.nodes(stale=stale) if n["name"] == name), None)
        if found is None:
            raise NotFound(f"no node is named {name[:128]!r}", hint="See the list of nodes.")
        return found

    async def drain(self, who: Who, name: str) -> Json:
        """Give the node no new runs; what runs goes on."""
        return await self._set_draining(who, name, draining=True)

    async def undrain(self, who: Who, name: str) -> Json:
        """Give the node runs again."""
        return await self._set_draining(who, name, draining=False)

    async def set_log_level(self, who: Who, name: str, wanted: WantedLogLevel) -> Json:
        """Have a node say more or less about itself."""
        who.require("admin")
        level = "" if wanted.level == "default" else wanted.level

        def command(at: datetime) -> SetLogLevel:
            seconds = wanted.for_seconds
            until = at + timedelta(seconds=seconds) if level and seconds else None
            return SetLogLevel(at=at, by=who.name, name=name, level=level, until=until)

        await self._agreement.change(command)
        return await self.node(name)

    async def pause(self, who: Who) -> Json:
        """Stop all launching."""
        return await self._set_paused(who, paused=True)

    async def resume(self, who: Who) -> Json:
        """Launch again."""
        return await self._set_paused(who, paused=False)

    async def label_limits(self, who: Who, *, stale: bool = False) -> Json:
        """Return how many runs all nodes with a label may have at once."""
        who.require("viewer")
        agreed = await self._agreement.read(stale=stale)
        return {"limits": agreed.label_limits.copy_entries()}

    async def set_label_limits(self, who: Who, limits: dict[str, int]) -> Json:
        """Replace those limits. Raises Invalid."""
        who.require("admin")
        wrong = [
            FieldError(f"limits.{label[:64]}", "must be `key=value` and a whole number from 0 on")
            for label, limit in limits.items()
            if not all(label.partition("=")) or not 0 <= limit <= LABEL_LIMIT_MAX
        ]
        if len(limits) > LABELS_MAX:
            wrong = [FieldError("limits", f"has more than {LABELS_MAX} entries")]
        if wrong:
            raise Invalid(wrong)
        value = await self._agreement.change(
            lambda at: SetLabelLimits(at=at, by=who.name, limits=limits)
        )
        return {"limits": value}

    async def transfer_leader(self, who: Who) -> Json:
        """Have leadership given to another node, whichever node is asked. Raises NoLeader."""
        who.require("admin")
        status = self._agreement.replica.status()
        if status.leader != self._name:
            leader = self._agreement.state.nodes.get(status.leader or "")
            if leader is None or self._peers is None:
                raise NoLeader("nobody leads", hint="Wait for an election, then try again.")
            await self._peers.hand_over(leader.http)
        elif len(status.members) < 2:
            raise Conflict("there is no other node to lead", hint="Add a node first.")
        else:
            await self._agreement.replica.transfer_leadership()
        await self._agreement.replica.barrier()
        return {"leader": self._agreement.replica.status().leader}

    def look(self) -> list[NodeView]:
        """Return all machines by name, as this node sees them. Waits for nothing."""
        return self._nodes(self._agreement.replica.status())

    def not_ready(self) -> str:
        """Return why this node is no caught-up member of a led cluster; empty when it is."""
        status = self._agreement.replica.status()
        if not self.freshness()["has_leader"]:
            return "no leader is known"
        if status.commit_index - status.applied_index > LAG_MAX:
            return f"catching up: {status.applied_index} of {status.commit_index}"
        if not status.is_settled:
            return "its disk was empty; it does not count as a voter yet"
        if not self._agreement.state.cluster_id:
            return "the cluster is still being set up"
        return ""

    def in_a_line(self) -> str:
        """Return how this node and the cluster are, for who looks at the process."""
        status, state = self._agreement.replica.status(), self._agreement.state
        if reason := self.not_ready():
            return f"not ready: {reason}; {self._voters(status)}"
        does = "leads" if status.leader == self._name else f"{status.leader} leads"
        runs = len(state.runs_of_node(self._name))
        paused = "; the cluster is paused" if state.paused else ""
        return f"{does}; {self._voters(status)}; {runs} runs in hand here{paused}"

    def _voters(self, status: ReplicaStatus) -> str:
        voters = set(status.members) or {self._name}
        reached = len(voters & {*status.reachable, self._name})
        return f"{reached} of {len(voters)} voters reached"

    def freshness(self) -> Json:
        """Return how old this node's copy may be, and whom else to ask. Waits for nothing."""
        status = self._agreement.replica.status()
        nodes = self._agreement.state.nodes
        leader = nodes.get(status.leader or "")
        leads = status.leader == self._name
        return {
            "node": self._name,
            "leader": status.leader,
            "leader_http": leader.http if leader else None,
            "has_leader": status.leader is not None and (status.has_quorum or not leads),
            "stale_seconds": round(status.contact_age_seconds, 1),
            "peers": [
                {"name": node.name, "http": node.http, "up": node.up} for node in nodes.values()
            ],
        }

    async def _set_draining(self, who: Who, name: str, *, draining: bool) -> Json:
        who.require("admin")
        await self._agreement.change(
            lambda at: DrainNode(at=at, by=who.name, name=name, draining=draining)
        )
        return await self.node(name)

    async def _set_paused(self, who: Who, *, paused: bool) -> Json:
        who.require("admin")
        value = await self._agreement.change(
            lambda at: PauseCluster(at=at, by=who.name, paused=paused)
        )
        return {"paused": value}

    def _nodes(self, status: ReplicaStatus) -> list[NodeView]:
        heard = {sighting.vitals.name: sighting for sighting in self._sightings()}
        nodes = sorted(self._agreement.state.nodes.values(), key=lambda node: node.name)
        return [self._view(node, heard.get(node.name), status) for node in nodes]

    def _view(self, node: Node, seen: Sighting | None, status: ReplicaStatus) -> NodeView:
        vitals = seen.vitals if seen else None
        last_seen = None
        if seen is not None:
            last_seen = to_milliseconds(
                self._agreement.clock.now() - timedelta(seconds=seen.age_seconds)
            )
        runs = self._agreement.state.runs_of_node(node.name)
        until = node.log_level_until
        is_over = until is not None and until <= self._agreement.now()
        return NodeView(
            name=node.name,
            state=_state(node),
            role=_role(node, status),
            http=node.http,
            raft=node.raft,
            labels=node.labels,
            version=node.version,
            tzdata=node.tzdata,
            max_runs=node.max_runs,
            joined_at=iso_utc(node.joined_at),
            changed_at=iso_utc(node.changed_at),
            last_seen=iso(last_seen),
            clock_offset_ms=seen.clock_offset_ms if seen else None,
            cpu_percent=vitals.cpu_percent if vitals else None,
            load_1m=vitals.load_1m if vitals else None,
            memory=_space(vitals.memory_bytes, vitals.memory_total_bytes) if vitals else None,
            disk=_space(vitals.disk_bytes, vitals.disk_total_bytes) if vitals else None,
            uptime_seconds=vitals.uptime_seconds if vitals else None,
            running_runs=sum(1 for run in runs if run.state is RunState.RUNNING),
            applied_index=vitals.applied_index if vitals else None,
            holds_cpu=vitals.holds_cpu if vitals else None,
            groups_lack=vitals.groups_lack if vitals else None,
            certificate_expires_at=iso(vitals.certificate_expires_at) if vitals else None,
            log_level=None if is_over else node.log_level or None,
            log_level_until=None if is_over else iso(until),
        )


def _state(node: Node) -> str:
    if node.joining:
        return "joining"
    if not node.up:
        return "down"
    return "draining" if node.draining else "up"


def _role(node: Node, status: ReplicaStatus) -> str:
    """Return what it is to Raft now: who receives the log and does not vote observes."""
    if node.name == status.leader:
        return "leader"
    return "follower" if node.name in status.members else "observer"


def _space(used: int, total: int) -> Space:
    return Space(used_bytes=used, total_bytes=total)
