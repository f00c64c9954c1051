"""Serving the application on an address."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from croncord.errors import ConfigError
from croncord.tls.identity import NodeTls
from croncord.web.tls_door import TlsDoor

CLOSE_SECONDS: Final = 2.0
"""How long requests under way may take when the node stops."""


async def listen(
    app: web.Application, host: str, port: int, tls: NodeTls | None = None
) -> Callable[[], Awaitable[None]]:
    """Serve the application from now on; returns how to stop. Raises ConfigError."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    try:
        if tls is None:
            await web.TCPSite(runner, host, port).start()
            return runner.cleanup
        assert runner.server is not None, "it was set up"
        door = TlsDoor(runner.server, tls)
        await door.open(host, port)
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"http: cannot listen on {host}:{port}: {error.strerror}",
            hint="Another program may use the port; choose another with --http.",
        ) from None

    async def stop() -> None:
        await door.close()
        await runner.cleanup()

    return stop
