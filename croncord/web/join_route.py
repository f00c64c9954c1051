"""`POST /internal/v1/join`: where a machine that wants to join asks. It proves itself in the body."""

from typing import Final

from aiohttp import web

from croncord.web.api.body import read_bytes
from croncord.web.parts import DESK

PATH: Final = "/internal/v1/join"
BODY_BYTES_MAX: Final = 16 * 1024


def join_route() -> web.RouteDef:
    """Return the route."""
    return web.post(PATH, _join)


async def _join(request: web.Request) -> web.Response:
    body = await read_bytes(request, at_most=BODY_BYTES_MAX, what="a request to join")
    answer = await request.app[DESK].membership.admit(body)
    return web.Response(body=answer, content_type="application/octet-stream")
