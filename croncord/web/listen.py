"""Serving the application on an address."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from croncord.errors import ConfigError
from croncord.tls.identity import NodeTls
from croncord.web.guests import GUESTS_MAX, IDLE_SECONDS, Guests
from croncord.web.tls_door import BACKLOG, TlsDoor

CLOSE_SECONDS: Final = 2.0
"""How long requests under way may take when the node stops."""


async def listen(
    app: web.Application,
    host: str,
    port: int,
    tls: NodeTls | None = None,
    *,
    guests_max: int = GUESTS_MAX,
    idle_seconds: float = IDLE_SECONDS,
) -> Callable[[], Awaitable[None]]:
    """Serve the application from now on; returns how to stop. Raises ConfigError.

    At most `guests_max` connections are held; one that has not sent a whole head of a request
    within `idle_seconds` is let go.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=CLOSE_SECONDS, keepalive_timeout=idle_seconds
    )
    await runner.setup()
    assert runner.server is not None, "it was set up"
    guests = Guests(runner.server, at_most=guests_max)
    try:
        close = await _open(guests, host, port, tls)
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"http: cannot listen on {host}:{port}: {error.strerror}",
            hint="Another program may use the port; choose another with --http.",
        ) from None

    async def stop() -> None:
        await close()
        await runner.cleanup()

    return stop


async def _open(
    guests: Guests, host: str, port: int, tls: NodeTls | None
) -> Callable[[], Awaitable[None]]:
    """Accept connections; returns how to accept no more. Raises OSError."""
    if tls is not None:
        door = TlsDoor(guests, tls)
        await door.open(host, port)
        return door.close
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(guests, host, port, backlog=BACKLOG)

    async def close() -> None:
        listener.close()

    return close
