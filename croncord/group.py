"""How a node comes to its cluster at each start: it founds one, joins one, or was in one before."""

from collections.abc import Awaitable, Callable

import msgspec

from croncord import __version__
from croncord.clock import Clock
from croncord.config import Settings, read_secret
from croncord.errors import ConfigError, CronCordError
from croncord.joining import Joiner
from croncord.model import NodeRole
from croncord.ports import JoinAnswer, JoinRequest
from croncord.raft.replica import RaftReplica
from croncord.standing import ClusterRecord, Standing
from croncord.tls.identity import NodeTls


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a node needs to take part."""

    secret: bytes
    accepted: tuple[bytes, ...] = ()
    """Secrets that others may use besides, while the secret is being changed."""
    members: dict[str, str]
    """Raft addresses of founders, this node included, or of nodes to join, without it."""
    role: NodeRole
    was_let_in: bool
    """Whether others were there before; a node that founds gives the cluster its first access."""


async def find_place(settings: Settings, standing: Standing, clock: Clock) -> Place:
    """Return this node's place in its cluster, asking to be let in where that is new.

    Raises ConfigError when this node was removed, or is not let in.
    """
    standing.check_not_removed()
    founders = {peer.name: peer.raft for peer in settings.peers}
    secret = read_secret(settings.secret_file) if settings.secret_file else standing.secret()
    other = settings.accept_secret_file
    accepted = (read_secret(other, "accept_secret_file"),) if other else ()
    record = standing.record()
    others = {name: raft for name, raft in record.members.items() if name != settings.name}
    if not founders and not standing.has_journal and (settings.join or others):
        answer = await _join(settings, record, clock, secret)
        if settings.secret_file is None:
            standing.keep_secret(answer.secret)
        if answer.certificate_authority:
            standing.keep_authority(answer.certificate_authority)
        secret = answer.secret
        others = answer.members
        record = ClusterRecord(
            cluster_id=answer.cluster_id, role=answer.role, members=others, urls=answer.urls
        )
        standing.keep_record(record)
    if secret is None:
        secret = standing.make_secret()
    alone = {settings.name: settings.raft_address}
    return Place(
        secret=secret,
        accepted=accepted,
        members=founders or others or alone,
        role=record.role or settings.role,
        was_let_in=record.role is not None,
    )


async def _join(
    settings: Settings, record: ClusterRecord, clock: Clock, secret: bytes | None
) -> JoinAnswer:
    token = settings.read_join_token()
    if secret is None and not token:
        raise ConfigError(
            "this node is to join a cluster, and has neither a join token nor the cluster secret",
            hint="Make a token on a member with `croncord cluster join-token`, and give it in "
            "CRONCORD_JOIN_TOKEN or with --join-token-file.",
        )
    request = JoinRequest(
        name=settings.name,
        http=settings.http_url,
        raft=settings.raft_address,
        role=settings.role,
        version=__version__,
    )
    urls = settings.join or record.urls
    joiner = Joiner(urls, request, clock=clock, token="" if secret else token, secret=secret or b"")
    return await joiner.run()


def make_replica(
    settings: Settings,
    place: Place,
    tls: NodeTls | None,
    on_failure: Callable[[CronCordError], None],
    before_snapshot: Callable[[], Awaitable[None]],
) -> RaftReplica:
    """Return this node's replica, not started."""
    return RaftReplica(
        name=settings.name,
        listen=settings.raft,
        advertise=settings.raft_address,
        members=place.members,
        data_dir=settings.data_dir,
        secret=place.secret,
        accepted=place.accepted,
        tls=tls,
        joins_as=place.role,
        on_failure=on_failure,
        before_snapshot=before_snapshot,
    )


class MembershipWatch:
    """Keeps the record of the cluster on disk, and notices when this node was removed."""

    def __init__(
        self,
        *,
        name: str,
        replica: RaftReplica,
        standing: Standing,
        clock: Clock,
        on_removed: Callable[[], None],
    ) -> None:
        """`on_removed` is called once, when the disk has forgotten the cluster."""
        self._name = name
        self._replica = replica
        self._standing = standing
        self._clock = clock
        self._on_removed = on_removed
        self._is_removed = False
        self._told: tuple[int, tuple[str, ...]] = (0, ())

    def start(self) -> None:
        """Look at every change from now on."""
        self._replica.on_status_change(lambda _status: self._look())
        self._replica.subscribe(lambda *_applied: self._look())
        self._look()

    def _look(self) -> None:
        if self._is_removed:
            return
        status, state = self._replica.status(), self._replica.state
        if status.is_expelled:
            self._is_removed = True
            self._standing.leave(name=self._name, at=self._clock.now())
            self._on_removed()
            return
        told = (state.nodes.digest, status.members)
        if told == self._told or not state.cluster_id:
            return
        self._told = told
        others = [node for name, node in state.nodes.items() if name != self._name]
        self._standing.keep_record(
            msgspec.structs.replace(
                self._standing.record(),
                cluster_id=state.cluster_id,
                members={node.name: node.raft for node in others if not node.joining},
                urls=tuple(node.http for node in others if not node.joining),
            )
        )
