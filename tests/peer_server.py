"""A node as other nodes see it: an output store behind the routes for peers, on loopback."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from croncord.clock import SystemClock
from croncord.errors import CronCordError, NoLeader
from croncord.logs.log_store import LogStore
from croncord.logs.replication import Replicator
from croncord.node.peers import HttpPeers
from croncord.peer_auth import PeerVerifier
from croncord.web.peer_routes import peer_routes
from croncord.web.tls_door import TlsDoor

SECRET = b"a secret of the whole cluster"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@web.middleware
async def _errors(request, handler):
    try:
        return await handler(request)
    except CronCordError as error:
        return web.json_response({"detail": error.message}, status=error.status)


def _nobody_leads(_vitals):
    raise NoLeader("n does not lead")


async def _nobody_takes_over():
    raise NoLeader("this node does not lead")


class PeerServer:
    """Serves an output store to other nodes."""

    def __init__(
        self,
        logs,
        *,
        port=0,
        secret=SECRET,
        receive_vitals=_nobody_leads,
        handler_cancellation=True,
        tls=None,
    ):
        self.port = port or free_port()
        self._tls = tls
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.asked = []
        self.busy = 0
        verifier = PeerVerifier(secret, self.url) if secret else None
        routes = peer_routes(
            verifier=verifier,
            clock=SystemClock(),
            logs=logs,
            receive_vitals=receive_vitals,
            hand_over=_nobody_takes_over,
            wants_certificate=tls is not None and tls.required,
        )
        app = web.Application(middlewares=[_errors, self._note])
        app.add_routes(routes)
        # Handlers that stream are cancelled at once when it is stopped.
        self._runner = web.AppRunner(
            app, shutdown_timeout=0.01, handler_cancellation=handler_cancellation
        )

    @web.middleware
    async def _note(self, request, handler):
        self.asked.append((request.method, request.raw_path))
        self.busy += 1
        try:
            return await handler(request)
        finally:
            self.busy -= 1

    async def start(self):
        await self._runner.setup()
        if self._tls is None:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        else:
            self._door = TlsDoor(self._runner.server, self._tls)
            await self._door.open("127.0.0.1", self.port)
        return self

    async def stop(self):
        if self._tls is not None:
            await self._door.close()
        await self._runner.cleanup()


class Member:
    """A node of a little cluster: store, server, and what copies from the others."""

    def __init__(self, name, root, addresses):
        self.name = name
        self._root = root / name
        self._addresses = addresses
        addresses[name] = f"http://127.0.0.1:{free_port()}"

    async def start(self):
        address_of = self._addresses.get
        self.peers = HttpPeers(SECRET, clock=SystemClock())
        self.store = await LogStore.start(
            self._root, node=self.name, peers=self.peers, address_of=address_of
        )
        port = int(self._addresses[self.name].rsplit(":", 1)[1])
        self.server = await PeerServer(self.store, port=port).start()
        self.replicator = Replicator(
            self.store.local,
            self.peers,
            node=self.name,
            address_of=address_of,
            pause_seconds=0.01,
        )
        return self

    async def stop(self):
        await self.server.stop()
        await self.replicator.stop()
        await self.store.stop()
        await self.peers.stop()

    async def restart(self):
        await self.stop()
        return await self.start()


@asynccontextmanager
async def members(root, count=2):
    """Give so many nodes, n1 the first, that know each other's addresses."""
    addresses = {}
    async with AsyncExitStack() as stack:
        found = [Member(f"n{n}", root, addresses) for n in range(1, count + 1)]
        for member in found:
            await member.start()
            stack.push_async_callback(member.stop)
        yield found


async def until(happened):
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.005)
