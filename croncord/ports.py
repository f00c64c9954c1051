"""The sockets in the wall: what one part needs from another, without knowing which part it is.

The port of the agreed state is in `croncord.raft.port`. Everything is called on the event loop's
thread.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from croncord.audit import AuditEntry, AuditFilter
from croncord.drills import FreezeOrder
from croncord.model import LogInfo, Messages, Name, NodeRole, Run

# --- output ---------------------------------------------------------------------------------------


class LogKey(msgspec.Struct, frozen=True, order=True):
    """Names one output: an attempt of a run."""

    run_id: str
    attempt: int


class LogChunk(msgspec.Struct, frozen=True):
    """A piece of output as read: bytes of one stream, in order.

    `offset` and `next_offset` are positions in the framed log; resume reading at `next_offset`.
    """

    stream: Literal["stdout", "stderr", "system"]
    data: bytes
    offset: int
    next_offset: int
    milliseconds: int
    """Since the run started, when the shim read it."""


class LogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one node holds of one output."""

    size: int
    """Framed bytes held."""
    complete: bool
    """Sealed: nothing will be added here. Whether the end frame is held is `info.complete`."""
    info: LogInfo
    durable_bytes: int = 0
    """Output, without frames, that a crash of the node cannot take away."""


class SearchOrder(msgspec.Struct, frozen=True):
    """What one node is to look for, in which outputs, in this order."""

    keys: tuple[LogKey, ...]
    pattern: str
    """A line matches when it holds this, or, with `regex`, when this matches in it."""
    regex: bool
    stream: Literal["", "stdout", "stderr"]
    limit: int
    after: int = -1
    """Lines of the first output up to this offset are passed over."""


class SearchHit(msgspec.Struct, frozen=True):
    """A line that matches."""

    key: LogKey
    offset: int
    """Bytes of output before the line, in the stream that was searched."""
    line: int
    """Counted from 1."""
    text: str
    """Its beginning."""
    before: tuple[str, ...] = ()
    """The beginnings of up to two lines before it, and below of those after it."""
    after: tuple[str, ...] = ()


class SearchAnswer(msgspec.Struct, frozen=True):
    """How far a node came."""

    hits: tuple[SearchHit, ...]
    absent: tuple[LogKey, ...]
    """Outputs among those looked at that are not here, or not sound."""
    searched: int
    """So many outputs, from the first, were looked at: the others are to be asked for again."""
    problem: str = ""


class RunLogs(Protocol):
    """Output of runs: written here, copied from peers, read from anywhere."""

    async def open(self, key: LogKey, *, started_at: datetime) -> int:
        """Begin or continue an output written on this node; returns the framed bytes held."""

    async def append(self, key: LogKey, offset: int, frames: bytes) -> int:
        """Add framed bytes at that offset; what is already held is dropped. Returns the new end.

        Returns once the bytes are readable; they are durable within the commit window.
        """

    async def close(self, key: LogKey) -> LogInfo:
        """Seal: all bytes durable, digest computed. Calling it again gives the same answer."""

    def status(self, key: LogKey) -> LogStatus | None:
        """Return what this node holds, None when nothing."""

    def statuses(self, keys: Sequence[LogKey]) -> list[LogStatus | None]:
        """Return what this node holds of many outputs."""

    async def check(self, key: LogKey) -> LogStatus | None:
        """Read all of this node's copy through and return what is held, None when not sound."""

    async def fence(self, key: LogKey) -> LogStatus:
        """Take nothing more from the node that writes it; returns what is held, with its digest.

        The fence is durable by then. Raises Conflict when a process of this node writes it,
        StoreError when what is held is damaged.
        """

    async def prefix_sha256(self, key: LogKey, size: int) -> str:
        """Return the digest of the first framed bytes of this node's copy, empty if it is shorter."""

    async def whole(self, keys: Sequence[LogKey]) -> list[bytes | None]:
        """Return small sealed outputs, framed; None for what is long, not sealed or not held."""

    def damaged(self, key: LogKey) -> bool:
        """Whether this node holds the output and found it damaged; `status` is None then."""

    def read(
        self,
        key: LogKey,
        *,
        holders: Sequence[str] = (),
        offset: int = 0,
        stream: Literal["stdout", "stderr"] | None = None,
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """Yield chunks from `offset` on; with `follow` until the output is complete.

        Reads this node's copy, or the first of `holders` that answers, going on with the next one
        at the same offset. Raises NotFound when nobody has it and StoreError when a copy is damaged.
        """

    def frames(self, key: LogKey, *, offset: int = 0, follow: bool = False) -> AsyncIterator[bytes]:
        """Yield framed bytes of this node's copy only, for other nodes to read.

        With `follow` until it is sealed. Raises NotFound when nothing is held here, Unreachable
        when it is to be followed and nobody feeds it here.
        """

    async def tail_offset(self, key: LogKey, lines: int, *, holders: Sequence[str] = ()) -> int:
        """Return the framed offset from which about that many last lines follow."""

    async def search(self, order: SearchOrder) -> SearchAnswer:
        """Search this node's copies, for about two seconds."""

    async def delete(self, keys: Sequence[LogKey]) -> None:
        """Forget these outputs on this node."""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger rows; empty fields match everything."""

    job_id: str = ""
    state: str = ""
    reason: str = ""
    node: str = ""
    trigger: str = ""
    since: datetime | None = None
    until: datetime | None = None
    job_ids: frozenset[str] | None = None
    """Rows of any of these jobs; None for all."""


class Ledger(Protocol):
    """Every final row of the launch ledger, on this node's disk."""

    def put(self, rows: Sequence[Run]) -> None:
        """Write rows; a row of the same id is replaced. Durable within the commit window."""

    def get(self, run_id: str) -> Run | None:
        """Return a row."""

    def page(self, where: RunFilter, *, limit: int, before: str = "") -> list[Run]:
        """Return at most `limit` rows, newest nominal time first, with ids below `before`."""

    async def days(self) -> dict[str, tuple[int, int]]:
        """Return the number of rows of each UTC day, `YYYYMMDD`, and their checksum."""

    async def flush(self) -> None:
        """Return when everything put so far is on disk."""


class AuditTrail(Protocol):
    """Who changed what, on this node's disk."""

    def put(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries; one that is there already stays as it is."""

    def page(
        self, where: AuditFilter, *, limit: int, before: str = ""
    ) -> tuple[list[AuditEntry], str]:
        """Return at most `limit` entries, newest first, and the cursor to go on with.

        The cursor is empty at the end. A page may be short although there are more. Raises Invalid
        for a cursor that is not one.
        """


class AuditPages(Protocol):
    """The audit trail as other nodes read it, to fill what they lack."""

    async def days(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries of each UTC day, `YYYYMMDD`, and their checksum."""

    async def entries_of(self, day: str, after: str) -> tuple[list[AuditEntry], str]:
        """Return some hundred entries of a day, oldest first, and the cursor to go on with."""


class LedgerPages(Protocol):
    """The ledger as other nodes read it, to fill what they lack."""

    async def days(self) -> dict[str, tuple[int, int]]:
        """Return the number of rows of each UTC day, `YYYYMMDD`, and their checksum."""

    async def rows_from(self, first: str, last: str) -> list[Run]:
        """Return some hundred rows from the id `first` to below `last`, oldest first."""


# --- secrets --------------------------------------------------------------------------------------


class Vault(Protocol):
    """Seals values so that they may be agreed on and stored."""

    @property
    def key_id(self) -> str:
        """Tells keys apart, and nothing of them."""

    def seal(self, name: str, value: str) -> bytes:
        """Return the value sealed, for that name only."""

    def opens(self, key_id: str) -> bool:
        """Whether what was sealed with that key can be opened."""

    def open(self, name: str, sealed: bytes) -> str:
        """Return the value. Raises StoreError when it was sealed under another key."""


# --- processes ------------------------------------------------------------------------------------


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the runner needs to start one attempt."""

    key: LogKey
    script: bytes
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = {}
    """More variables, whose values are masked in the output."""
    working_directory: str
    user: str
    timeout_seconds: int | None
    kill_grace_seconds: int
    log_bytes: int
    on_limit: Literal["truncate", "kill"] = "truncate"
    """What becomes of a script that prints more than `log_bytes`."""
    memory_bytes: int | None = None
    processes: int | None = None
    open_files: int | None = None
    umask: int = 0o022
    nice: int = 0
    ionice: str = "none"
    cpu_percent: int | None = None
    """Of one processor; the whole tree together."""
    not_before: float = 0.0
    """When the script starts, on the machine's monotonic clock; all else is made ready before."""


Outcome = Literal[
    "exited",
    "timed_out",
    "killed",
    "limit_memory",
    "limit_processes",
    "limit_log",
    "start_failed",
    "lost",
    "runner_killed",
]


class ProcessEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, as its shim saw it."""

    key: LogKey
    outcome: Outcome
    started_at: datetime | None
    finished_at: datetime
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    signalled_at: datetime | None = None
    survivors: tuple[int, ...] = ()
    messages: Messages = Messages()
    detail: str = ""
    log: LogInfo = LogInfo()
    """Its output as it was sealed; empty when the store refused it."""
    excerpt: str = ""
    """The last lines of it."""


class Runner(Protocol):
    """Starts scripts, each under a shim of its own that outlives this program."""

    async def start(self) -> Sequence[LogKey]:
        """Get ready; returns the attempts of an earlier life that are to be adopted."""

    async def launch(self, request: LaunchRequest) -> None:
        """Start it. A start that fails is told by `wait`, not raised. Same key twice: one start."""

    async def wait(self, key: LogKey) -> ProcessEnd:
        """Return when the process has ended and its output has been handed over and sealed."""

    async def kill(self, key: LogKey, *, grace_seconds: int) -> None:
        """TERM to the whole tree, KILL after the grace; returns when TERM was sent."""

    async def forget(self, *keys: LogKey) -> None:
        """Drop what was kept of ended attempts, once their results are agreed.

        Raises Conflict when one has not ended; the others are dropped all the same.
        """

    async def stop(self) -> None:
        """Let go of everything; running processes go on."""


# --- machines -------------------------------------------------------------------------------------


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is doing, told to the leader about once a second and never replicated."""

    name: str
    at: datetime
    """The node's own clock when it measured."""
    cpu_percent: float
    load_1m: float
    memory_bytes: int
    memory_total_bytes: int
    disk_bytes: int
    disk_total_bytes: int
    running_runs: int
    applied_index: int
    uptime_seconds: float
    version: str
    pressure: str = ""
    """What the machine is too short of to take new runs; empty when it takes them."""
    holds_cpu: bool = False
    """Whether it can hold runs to `limits.cpu_percent`."""
    progress: dict[str, float] = {}
    """What running scripts told as `::progress`, in percent by run id; not of very many."""
    groups_lack: str = ""
    """Why its runs have no control group or one without all limits; empty when they have it all."""
    certificate_expires_at: datetime | None = None
    """When its TLS certificate ends; None without one."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """The latest vitals of a node, as the leader holds them."""

    vitals: Vitals
    age_seconds: float
    """Since they arrived."""
    clock_offset_ms: int
    """The node's clock minus the leader's, give or take half the round trip."""


class Peers(Protocol):
    """Calls to other nodes over HTTP, authenticated with the cluster secret."""

    async def send_vitals(self, leader_http: str, vitals: Vitals) -> tuple[Sighting, ...]:
        """Report to the leader; the answer is the leader's table of everybody."""

    async def hand_over(self, leader_http: str) -> None:
        """Ask the leader to give leadership away; returns when it no longer leads."""

    def log_stream(
        self, node_http: str, key: LogKey, *, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """Yield framed bytes of another node's copy from `offset` on.

        Raises NotFound when the node has nothing, Unreachable when it does not answer.
        """

    async def log_status(self, node_http: str, key: LogKey) -> LogStatus | None:
        """Ask what another node holds."""

    async def log_check(self, node_http: str, key: LogKey) -> LogStatus | None:
        """Ask what another node holds, after it has read all of it through."""

    async def log_fence(self, node_http: str, key: LogKey) -> LogStatus:
        """Have another node fence an output, as `RunLogs.fence`. Raises Conflict, Unreachable."""

    async def log_prefix_sha256(self, node_http: str, key: LogKey, size: int) -> str:
        """Ask for the digest of the first framed bytes, as `RunLogs.prefix_sha256`."""

    async def logs_held(self, node_http: str, keys: Sequence[LogKey]) -> list[LogStatus | None]:
        """Ask what another node holds of many outputs. Raises Unreachable."""

    async def logs_whole(self, node_http: str, keys: Sequence[LogKey]) -> list[bytes | None]:
        """Ask for many small outputs, as `RunLogs.whole`. Raises NotFound, Unreachable."""

    async def freeze(self, node_http: str, order: FreezeOrder) -> None:
        """Have another node stand still. Raises Conflict, Unreachable."""

    async def log_search(self, node_http: str, order: SearchOrder) -> SearchAnswer:
        """Have another node search its copies. Raises Unreachable."""

    async def log_tail_offset(self, node_http: str, key: LogKey, lines: int) -> int:
        """Ask another node from where that many last lines follow, as `RunLogs.tail_offset`.

        Raises NotFound when the node has nothing, Unreachable when it does not answer.
        """


# --- joining --------------------------------------------------------------------------------------


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a new machine says about itself."""

    name: Name
    http: str
    raft: str
    role: NodeRole = "auto"
    version: str = ""


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a new machine gets to know. Newer versions may add to it."""

    cluster_id: str
    role: NodeRole
    members: dict[str, str]
    """Raft addresses of the nodes, by name."""
    urls: tuple[str, ...]
    """Their web addresses."""
    secret: bytes = b""
    certificate_authority: str = ""
    """PEM of the authority that signs the nodes' certificates, where there is one."""


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """A join token as it is shown once, and what is kept of it."""

    id: str
    token: str
    key: str


class OpenedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to join that proved itself."""

    request: JoinRequest
    token_id: str
    """Empty when it was made with the cluster secret."""
    at_ms: int
    """The machine's clock when it asked."""
    sha256: str
    key: bytes
    public: bytes


class Invitations(Protocol):
    """Makes join tokens, reads requests made with them, seals the answers."""

    def make(self) -> NewInvitation:
        """Draw a new token."""

    def open(self, body: bytes, key_of: Callable[[str], str | None]) -> OpenedRequest:
        """Read a request; `key_of` gives the key that is kept of a token.

        Raises Malformed, and Unauthenticated when it was not made with that token or secret.
        """

    def seal(self, opened: OpenedRequest, answer: JoinAnswer) -> bytes:
        """Return the answer, readable by who asked only, with the cluster secret put into it."""
