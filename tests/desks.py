"""A desk over real parts: a cluster of one in memory, ledger and output on disk; for service and web.

Nothing plans or runs here: tests move runs on with `launch`, `write` and `finish`, as nodes do.
"""

import hashlib
import tempfile
from contextlib import contextmanager
from pathlib import Path

from croncord.clock import SystemClock
from croncord.credentials import User
from croncord.frames import STDERR, STDOUT, encode_frame
from croncord.lifecycle import RunState
from croncord.logs.audit_log import AuditLog
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.model import LogInfo, Node
from croncord.node.vault import SecretVault
from croncord.ports import LogKey
from croncord.raft.access_commands import PutToken, PutUser
from croncord.raft.audit import audit_entry
from croncord.raft.commands import (
    Assignment,
    AssignRuns,
    Claim,
    ClaimRuns,
    ConcludeRuns,
    Conclusion,
    FinishRuns,
    InitCluster,
    PutNode,
    RunResult,
)
from croncord.raft.invitation import Invitations
from croncord.raft.solo import SoloReplica
from croncord.service import Desk, Who
from croncord.service.passwords import Cost, hash_password

ADMIN_TOKEN = "admin-token-of-this-node"
CLUSTER_SECRET = b"the secret of the office's cluster"
PASSWORD = "correct horse battery"
CHEAP = Cost(n=16, r=1, p=1)

ADMIN = Who("user:ada", "admin", "127.0.0.1")
OPERATOR = Who("user:bob", "operator", "127.0.0.1")
VIEWER = Who("user:eve", "viewer", "127.0.0.1")


@contextmanager
def fast_directory():
    """Give a directory in memory where there is one: nothing here is about surviving a crash."""
    memory = Path("/dev/shm")  # noqa: S108  # the directory made in it is private
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


class Office:
    """Everything behind the doors of one node, named n1, in a cluster that knows n2 too."""

    def __init__(self, replica, ledger, logs, clock, peers, audit) -> None:
        self.audit = audit
        self.replica = replica
        self.ledger = ledger
        self.logs = logs
        self.clock = clock
        self.sightings = ()
        self.offsets = {}
        self.authority = ""
        self.desk = Desk(
            name="n1",
            replica=replica,
            clock=clock,
            ledger=ledger,
            logs=logs,
            peers=peers,
            sightings=lambda: self.sightings,
            admin_token_sha256=hashlib.sha256(ADMIN_TOKEN.encode()).hexdigest(),
            invitations=Invitations(CLUSTER_SECRET),
            audit=audit,
            vault=SecretVault(b"the cluster secret"),
            authority=lambda: self.authority,
        )

    @classmethod
    async def open(cls, path, *, clock=None, replica=None, peers=None):
        clock = clock or SystemClock()
        replica = replica or SoloReplica("n1")
        await replica.start()
        ledger = await RunLedger.start(path / "ledger")
        logs = await LogStore.start(path / "logs", node="n1")
        replica.subscribe(lambda _index, _command, outcome: ledger.put(outcome.rows))
        audit = await AuditLog.start(path / "audit")
        office = cls(replica, ledger, logs, clock, peers, audit)
        replica.subscribe(office.note_change)
        now = clock.now()
        await office.do(InitCluster(at=now, cluster_id="c1", session_key=b"k" * 32))
        for name in ("n1", "n2"):
            node = Node(
                name=name,
                http=f"http://{name}.example:8470",
                raft=f"{name}.example:8471",
                labels={"disk": name},
                joined_at=now,
                changed_at=now,
            )
            await office.do(PutNode(at=now, node=node))
        return office

    async def close(self):
        await self.replica.stop()
        await self.logs.stop()
        await self.ledger.stop()
        await self.audit.stop()

    def note_change(self, index, command, outcome):
        entry = audit_entry(self.replica.state, index, command, outcome)
        self.audit.put([entry] if entry else [])

    async def do(self, command):
        outcome = await self.replica.propose(command)
        assert outcome.refusal is None, outcome.refusal
        return outcome.value

    # People

    async def add_user(self, name, role="operator", password=PASSWORD, **fields):
        digest = await hash_password(password, CHEAP)
        now = self.clock.now()
        user = User(name=name, role=role, password=digest, created_at=now, **fields)
        await self.do(PutUser(at=now, user=user))

    async def add_token(self, role):
        """Return the secret of a new token of that role."""
        made = await self.desk.people.create_token(ADMIN, {"name": f"a {role}", "role": role})
        return made["token"]

    async def put_token(self, token):
        await self.do(PutToken(at=self.clock.now(), token=token))

    # Jobs and runs

    async def job(self, name="backup", **fields):
        return await self.desk.jobs.create(ADMIN, {"name": name, "script": "true\n", **fields})

    async def run(self, name="backup", **fields):
        return await self.desk.jobs.run(ADMIN, name, **fields)

    async def launch(self, run_id, *, node="n1", replicas=("n1",)):
        """Assign the run, claim it, and open its output."""
        at, run = self.clock.now(), self.replica.state.open_runs[run_id]
        assignment = Assignment(run_id=run_id, attempt=run.attempt, node=node, replicas=replicas)
        await self.do(AssignRuns(at=at, term=self.replica.state.term, assignments=(assignment,)))
        claims = (Claim(run_id=run_id, attempt=run.attempt),)
        assert await self.do(ClaimRuns(at=at, node=node, claims=claims)) == (run_id,)
        await self.logs.open(LogKey(run_id, run.attempt), started_at=at)

    async def write(self, run_id, data, *, stream=STDOUT, attempt=1):
        key = LogKey(run_id, attempt)
        frames = encode_frame(stream, data, 7)
        offset = self.offsets.get(key, 0)
        self.offsets[key] = await self.logs.append(key, offset, frames)

    async def finish(self, run_id, state="succeeded", *, attempt=1, node="n1", **fields):
        """Seal the output and report the end."""
        info = await self.logs.close(LogKey(run_id, attempt))
        at = self.clock.now()
        result = RunResult(
            run_id=run_id,
            attempt=attempt,
            state=RunState(state),
            started_at=at,
            finished_at=at,
            exit_code={"succeeded": 0, "failed": 1}.get(state),
            log=LogInfo(
                bytes=info.bytes,
                lines=info.lines,
                truncated_bytes=info.truncated_bytes,
                sha256=info.sha256,
                complete=True,
            ),
            **fields,
        )
        return await self.do(FinishRuns(at=at, node=node, results=(result,)))

    async def lose(self, run_id):
        """Let the leader declare the run lost."""
        run = self.replica.state.open_runs[run_id]
        conclusion = Conclusion(
            run_id=run_id, attempt=run.attempt, state=RunState.LOST, reason="node_down"
        )
        at, term = self.clock.now(), self.replica.state.term
        await self.do(ConcludeRuns(at=at, term=term, conclusions=(conclusion,)))

    async def ran(self, name="backup", *output, state="succeeded"):
        """Run a job from start to end with that output; returns the run's id."""
        run = await self.run(name)
        await self.launch(run["id"])
        for data in output:
            await self.write(run["id"], data)
        await self.finish(run["id"], state)
        return run["id"]


__all__ = [
    "ADMIN",
    "ADMIN_TOKEN",
    "OPERATOR",
    "PASSWORD",
    "STDERR",
    "VIEWER",
    "Office",
    "fast_directory",
]
