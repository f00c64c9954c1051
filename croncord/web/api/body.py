"""Reading the body of a request."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from croncord.errors import Malformed, TooLarge
from croncord.web.errors import UnsupportedMedia

JSON_BYTES_MAX = 2 * 1024 * 1024
BODY_SECONDS = 60.0
_JSON_TYPES = ("application/json", "application/merge-patch+json")


async def read_bytes(request: web.Request, *, at_most: int, what: str) -> bytes:
    """Return the body. Raises TooLarge, naming the limit, and Malformed when it never arrives."""
    if request.content_length is not None and request.content_length > at_most:
        raise _too_large(what, at_most)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await request.read()
    except TimeoutError:
        raise Malformed(f"the body did not arrive within {BODY_SECONDS:.0f} seconds") from None
    if len(data) > at_most:
        raise _too_large(what, at_most)
    return data


async def read_object(request: web.Request, *, optional: bool = False) -> dict[str, Any]:
    """Return the JSON object in the body; an empty one when `optional` and there is no body.

    Raises UnsupportedMedia for another type, Malformed for what is not a JSON object, TooLarge.
    """
    data = await read_bytes(request, at_most=JSON_BYTES_MAX, what="a JSON body")
    if not data and optional:
        return {}
    if request.content_type not in _JSON_TYPES:
        raise UnsupportedMedia(
            f"the body is {request.content_type!r}, not JSON",
            hint="Send `Content-Type: application/json`.",
        )
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise Malformed("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed("the body must be a JSON object", hint='Begin with "{".')
    return value


def _too_large(what: str, at_most: int) -> TooLarge:
    return TooLarge(f"{what} may have at most {at_most} bytes")
