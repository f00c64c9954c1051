"""Serving the application on an address."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from croncord.errors import ConfigError

CLOSE_SECONDS: Final = 2.0
"""How long requests under way may take when the node stops."""


async def listen(app: web.Application, host: str, port: int) -> Callable[[], Awaitable[None]]:
    """Serve the application from now on; returns how to stop. Raises ConfigError."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"http: cannot listen on {host}:{port}: {error.strerror}",
            hint="Another program may use the port; choose another with --http.",
        ) from None
    return runner.cleanup
