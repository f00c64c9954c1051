"""A node: builds every part, starts them in order, stops them in the opposite one.

The order down: what takes work stops first, then leadership goes to another node, the doors close, and
last the replica and the stores. Scripts that run are left alone; the next start adopts them.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from croncord import __version__
from croncord.bootstrap import (
    Introduction,
    admin_token,
    bootstrap_token,
    prepare_data_dir,
    sha256,
)
from croncord.clock import SystemClock
from croncord.config import Settings, split_address
from croncord.daemon_log import configure_log
from croncord.errors import ConfigError, CronCordError, NoLeader
from croncord.figures import Measure
from croncord.group import MembershipWatch, find_place, make_replica
from croncord.liveness import STUCK_SECONDS, Liveness
from croncord.log_level import LevelInForce
from croncord.logs.audit_fill import AuditFiller
from croncord.logs.audit_log import AuditLog
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.node.agent import Agent
from croncord.node.agent_journal import FileJournal
from croncord.node.dispatcher import Dispatcher
from croncord.node.freezer import Freezer
from croncord.node.group_home import find_home, label_of
from croncord.node.own_process import OwnProcess
from croncord.node.peers import HttpPeers
from croncord.node.reporter import Reporter
from croncord.node.runner import ProcessRunner
from croncord.node.script_check import SyntaxChecker
from croncord.node.sightings import SightingBook
from croncord.node.vault import SecretVault
from croncord.node.vitals import VitalsProbe
from croncord.notify.parts import notify_parts
from croncord.outputs import OutputParts
from croncord.peer_auth import PeerVerifier
from croncord.ports import Sighting, Vitals
from croncord.raft.audit import audit_entry
from croncord.raft.commands import AnyCommand
from croncord.raft.invitation import Invitations
from croncord.raft.state import Outcome
from croncord.renewal import Renewal, node_tls
from croncord.service import Desk
from croncord.service_manager import ServiceManager
from croncord.standing import Standing
from croncord.tls.identity import NodeTls
from croncord.web.api.metrics import MEASURES
from croncord.web.app import create_app
from croncord.web.join_route import join_route
from croncord.web.listen import listen
from croncord.web.pages import render_error, setup_pages
from croncord.web.peer_routes import peer_routes

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 3.0
HANDOVER_SECONDS: Final = 3.0


async def serve(
    settings: Settings,
    *,
    say: Callable[[str], None] = print,
    reread: Callable[[], Settings] | None = None,
) -> int:
    """Run a node until TERM or INT; returns the exit status.

    `reread` returns the settings as they are now, for HUP. Raises ConfigError for settings that this
    machine cannot serve, StoreError for a damaged disk.
    """
    configure_log(settings.log_level, settings.log_format)
    manager = ServiceManager.from_environment(os.environ, os.getpid())
    with prepare_data_dir(settings.data_dir):
        async with contextlib.AsyncExitStack() as stack:
            daemon = Daemon(settings, stack, say, manager, reread)
            try:
                await _start_unless_over(daemon)
                return await daemon.over
            finally:
                daemon.liveness.ending()


async def _start_unless_over(daemon: "Daemon") -> None:
    """Start; a signal ends also a start that waits, as a node does that nobody lets in."""
    starting = asyncio.create_task(daemon.start())
    either: set[asyncio.Future[Any]] = {starting, daemon.over}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    if not starting.cancelled():
        starting.result()


class Daemon:
    """The parts of one node; what was started is on the stack, which stops it."""

    def __init__(
        self,
        settings: Settings,
        stack: contextlib.AsyncExitStack,
        say: Callable[[str], None],
        manager: ServiceManager,
        reread: Callable[[], Settings] | None = None,
    ) -> None:
        self._settings = settings
        self._stack = stack
        self._say = say
        self._clock = SystemClock()
        self._book = SightingBook(self._clock)
        self._measures: list[Measure] = []
        self._admin_token = admin_token(settings.data_dir)
        self._standing = Standing(settings.data_dir)
        self._tls = self._find_certificate()
        self._log_level = LevelInForce(settings.log_level, self._clock)
        self._renewal = Renewal(
            data_dir=settings.data_dir,
            reread=reread,
            clock=self._clock,
            manager=manager,
            on_log_level=self._log_level.settings_say,
        )
        self.liveness = Liveness(manager, self._clock)
        first = settings.bootstrap_token_file
        self._first_token = bootstrap_token(first) if first else None
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Done when the node should stop, with its exit status."""

    async def start(self) -> None:
        """Start everything; returns when the node serves its address."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end, 0)
        self._renewal.listen()
        self._in_background("liveness", self.liveness.run(), endless=False)
        with self.liveness.waiting("waits to be let into the cluster"):
            self._place = await find_place(self._settings, self._standing, self._clock)
        self._vault = SecretVault(self._place.secret, accepted=self._place.accepted)
        self._tls = self._tls or self._find_certificate()
        if self._tls is None and self._settings.tls_cert is not None:
            raise ConfigError(
                "tls_ca is not given, and the cluster that let this node in told no authority",
                hint="Give the authority's certificate with --tls-ca.",
            )
        self._renewal.keep_new(self._tls)
        await self._open_stores()
        await self._join_group()
        self._keep_outputs()
        self._start_machines()
        await self._open_doors()
        self.liveness.serving(self._desk.cluster.in_a_line)
        self._in_background("introduction", self._introduce(), endless=False)

    def _find_certificate(self) -> NodeTls | None:
        told = self._standing.authority_file
        return node_tls(self._settings, self._clock, told_authority=told)

    async def _open_stores(self) -> None:
        data_dir, name = self._settings.data_dir, self._settings.name
        if self._tls is not None:
            self._measures.append(self._renewal.figures)
            self._in_background("certificate", self._renewal.watch_age())
        self._peers = HttpPeers(self._place.secret, clock=self._clock, tls=self._tls)
        self._on_stop(self._peers.stop)
        self._logs = await LogStore.start(
            data_dir / "logs",
            node=name,
            peers=self._peers,
            address_of=self._address_of,
            disk_bytes=self._settings.output_bytes,
        )
        self._on_stop(self._logs.stop)
        self._ledger = await RunLedger.start(data_dir / "ledger")
        self._on_stop(self._ledger.stop)
        self._audit = await AuditLog.start(data_dir / "audit")
        self._on_stop(self._audit.stop)
        self._in_background("audit-sweep", self._audit.sweep(self._clock))

    async def _join_group(self) -> None:
        self._replica = make_replica(
            self._settings, self._place, self._tls, self._fail, self._flush
        )
        ledger = self._ledger
        self._replica.subscribe(lambda _index, _command, outcome: ledger.put(outcome.rows))
        self._replica.on_restored(self._fill_gap)
        self._replica.subscribe(self._note_change)
        await self._replica.start()
        self.liveness.watch(lambda: self._replica.is_working(STUCK_SECONDS))
        self._on_stop(self._replica.stop)
        following = self._log_level.follow(self._settings.name, self._replica)
        self._in_background("log-level", following)
        MembershipWatch(
            name=self._settings.name,
            replica=self._replica,
            standing=self._standing,
            clock=self._clock,
            on_removed=self._leave,
        ).start()

    def _fill_gap(self) -> None:
        """File the rows that a snapshot brings and have the others fetched: no command shows them again."""
        recent = self._replica.state.recent.values()
        self._ledger.put([row for rows in recent for row in rows])
        self._ledger.lacks_rows.set()
        self._audit.lacks_entries.set()

    async def _flush(self) -> None:
        """Have on disk what commands told, before those commands are forgotten."""
        await self._ledger.flush()
        await self._audit.flush()

    def _keep_outputs(self) -> None:
        outputs = OutputParts(
            name=self._settings.name,
            replica=self._replica,
            store=self._logs,
            ledger=self._ledger,
            peers=self._peers,
            clock=self._clock,
            address_of=self._address_of,
            other_addresses=self._other_addresses,
        )
        self._on_stop(outputs.stop)
        for name, work in outputs.start():
            self._in_background(name, work)
        self._measures += [outputs.figures, self._replica.figures, OwnProcess().figures]
        audit_filler = AuditFiller(
            self._audit, self._peers, clock=self._clock, addresses=self._other_addresses
        )
        self._in_background("audit-fill", audit_filler.run())

    def _start_machines(self) -> None:
        settings, clock, replica = self._settings, self._clock, self._replica
        runs = settings.data_dir / "runs"
        groups = find_home(label_of(runs))
        runner = ProcessRunner(runs, self._logs, clock, groups=groups)
        journal = FileJournal(settings.data_dir / "agent.journal")
        journal.open()
        self._stack.callback(journal.close)
        probe = VitalsProbe(
            name=settings.name,
            version=__version__,
            directory=settings.data_dir,
            clock=clock,
            groups=groups,
            progress=runner.progress,
            certificate_end=lambda: self._tls.expires_at if self._tls else None,
        )
        agent = Agent(
            name=settings.name,
            replica=replica,
            runner=runner,
            clock=clock,
            journal=journal,
            offset=lambda: self._book.offsets_ms().get(settings.name, 0),
            pressure=lambda: probe.pressure,
            vault=self._vault,
        )
        self._in_background("agent", agent.run())
        self._dispatcher = Dispatcher(
            name=settings.name, replica=replica, clock=clock, sightings=self._book
        )
        self._in_background("dispatcher", self._dispatcher.run())
        reporter = Reporter(
            name=settings.name,
            replica=replica,
            clock=clock,
            book=self._book,
            peers=self._peers,
            measure=probe.measure,
        )
        self._in_background("reporter", reporter.run())
        for part, work in notify_parts(
            settings, replica=replica, clock=clock, vault=self._vault, on_stop=self._stack.callback
        ):
            self._in_background(part, work)
        self._on_stop(self._hand_over)
        self._on_stop(lambda: agent.drain(timeout_seconds=DRAIN_SECONDS))

    async def _open_doors(self) -> None:
        settings = self._settings
        freezer = Freezer()
        self._desk = Desk(
            name=settings.name,
            replica=self._replica,
            clock=self._clock,
            ledger=self._ledger,
            logs=self._logs,
            peers=self._peers,
            sightings=self._book.table,
            admin_token_sha256=sha256(self._admin_token),
            check_syntax=SyntaxChecker().check,
            invitations=Invitations(self._place.secret),
            audit=self._audit,
            vault=self._vault,
            authority=self._authority,
            freeze=freezer.freeze,
        )
        self._book.on_progress(self._desk.tell_progress)
        app = create_app(
            self._desk,
            tls=self._requires_tls,
            allowed_hosts={socket.gethostname(), split_address(settings.http, "http")[0]},
            peer_routes=peer_routes(
                verifier=PeerVerifier(
                    self._place.secret, settings.http_url, accepted=self._place.accepted
                ),
                clock=self._clock,
                logs=self._logs,
                receive_vitals=self._receive_vitals,
                hand_over=self._replica.transfer_leadership,
                freeze=freezer.freeze,
                ledger=self._ledger,
                audit=self._audit,
                wants_certificate=self._requires_tls,
            ),
            extra_routes=[join_route()],
            error_page=render_error,
        )
        app[MEASURES] = self._measures
        setup_pages(app, self._desk, self._logs)
        self._on_stop(await listen(app, *split_address(settings.http, "http"), tls=self._tls))
        self._say(f"CronCord is running at {settings.http_url}")

    @property
    def _requires_tls(self) -> bool:
        return self._tls is not None and self._tls.required

    def _authority(self) -> str:
        return self._tls.authority if self._tls is not None and self._tls.required else ""

    async def _introduce(self) -> None:
        introduction = Introduction(
            settings=self._settings,
            replica=self._replica,
            clock=self._clock,
            first_token=None if self._place.was_let_in else self._first_token,
            role=self._place.role,
            lost=self._standing.record().lost,
        )
        is_first_time = await introduction.run()
        record = self._standing.record()
        self._standing.keep_record(msgspec.structs.replace(record, lost=()))
        needs_access = not self._place.was_let_in and self._first_token is None
        if is_first_time and needs_access and not self._replica.state.users:
            secret = await self._desk.access.make_link(None, "setup")
            self._say(
                f"First visit: {self._settings.http_url}/setup?token={secret}   "
                "(once, 15 minutes; a new one: croncord setup-link)"
            )

    def _note_change(self, index: int, command: AnyCommand, outcome: Outcome) -> None:
        entry = audit_entry(self._replica.state, index, command, outcome)
        self._audit.put([entry] if entry else [])

    def _receive_vitals(self, vitals: Vitals) -> tuple[Sighting, ...]:
        if self._replica.status().role != "leader":
            raise NoLeader(f"{self._settings.name} does not lead")
        table = self._book.record(vitals)
        self._dispatcher.report_arrived()
        return table

    def _other_addresses(self) -> dict[str, str]:
        nodes = self._replica.state.nodes.values()
        return {node.name: node.http for node in nodes if node.name != self._settings.name}

    def _address_of(self, name: str) -> str | None:
        node = self._replica.state.nodes.get(name)
        return node.http if node else None

    async def _hand_over(self) -> None:
        try:
            await self._replica.transfer_leadership(timeout_seconds=HANDOVER_SECONDS)
        except CronCordError as error:
            # Nobody can take over now; the others elect a leader as soon as they can.
            log.warning("leadership was not handed over: %s", error)

    def _end(self, status: int) -> None:
        if not self.over.done():
            self.over.set_result(status)

    def _leave(self) -> None:
        self._say(
            f"{self._settings.name} was removed from the cluster. It takes no more work, has "
            "forgotten the cluster secret, and ends; scripts that run here go on."
        )
        self._end(0)

    def _fail(self, error: CronCordError) -> None:
        if not self.over.done():
            self.over.set_exception(error)

    def _on_stop(self, stop: Callable[[], Awaitable[None]]) -> None:
        self._stack.push_async_callback(stop)

    def _in_background(
        self, name: str, work: Coroutine[Any, Any, None], *, endless: bool = True
    ) -> None:
        """Run a part until the node stops; the node stops when a part breaks."""

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            error = task.exception()
            if error is not None and not self.over.done():
                log.error("%s broke", name, exc_info=error)
                self.over.set_exception(error)
            elif endless and not self.over.done():
                self.over.set_exception(RuntimeError(f"{name} ended by itself"))

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        task = asyncio.create_task(work, name=name)
        task.add_done_callback(ended)
        self._on_stop(stop)
