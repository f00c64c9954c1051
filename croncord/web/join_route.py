"""`POST /internal/v1/join`: where a machine that wants to join asks. It proves itself in the body."""

from typing import Final

from aiohttp import web

from croncord.errors import TooLarge
from croncord.web.parts import DESK

PATH: Final = "/internal/v1/join"
BODY_BYTES_MAX: Final = 16 * 1024


def join_route() -> web.RouteDef:
    """Return the route."""
    return web.post(PATH, _join)


async def _join(request: web.Request) -> web.Response:
    parts: list[bytes] = []
    size = 0
    async for data in request.content.iter_any():
        parts.append(data)
        size += len(data)
        if size > BODY_BYTES_MAX:
            raise TooLarge(f"a request to join may have {BODY_BYTES_MAX} bytes")
    answer = await request.app[DESK].membership.admit(b"".join(parts))
    return web.Response(body=answer, content_type="application/octet-stream")
