"""What every request passes: note and log, errors, host and origin, who asks; and every header."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from croncord.errors import Malformed, Unauthenticated
from croncord.service.agreement import ReadNote, caller_address, read_note
from croncord.web import auth, errors
from croncord.web.api.body import BODY_SECONDS
from croncord.web.host_check import check_host, check_origin, is_own_machine
from croncord.web.parts import DESK, SITE, is_api, is_public
from croncord.web.stream import stream_ended

RequestCounter = Callable[[str, str, int], None]

_log = logging.getLogger(__name__)
_NOTE: web.RequestKey[ReadNote] = web.RequestKey("read_note", ReadNote)
_DENIED = frozenset({401, 403, 429})
_QUIET = ("/healthz", "/readyz", "/metrics", "/static/", "/internal/")
"""Asked every second or so by machines: logged only when somebody debugs."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SECURITY = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_STRICT_TRANSPORT = "max-age=31536000"


def observe(count: RequestCounter) -> Middleware:
    """Log each request without its query, which may hold a secret, and count it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.monotonic()
        note = ReadNote()
        request[_NOTE] = note
        token = read_note.set(note)
        address = caller_address.set(auth.address_of(request))
        status = 500
        try:
            response = await handler(request)
            status = response.status
            if status in _DENIED:
                _tell_denied(request, status)
            return response
        finally:
            read_note.reset(token)
            caller_address.reset(address)
            stream_ended(request)
            count(request.method, request.path, status)
            quiet = request.path.startswith(_QUIET) and status < 400
            _log.log(
                logging.DEBUG if quiet else logging.INFO,
                "%s %s %d %.0f ms %s %s",
                request.method,
                request.rel_url.raw_path[:300],
                status,
                (time.monotonic() - begun) * 1000,
                auth.caller_name(request),
                auth.address_of(request),
            )

    return middleware


def _tell_denied(request: web.Request, status: int) -> None:
    """Note who was refused what: attempts are no changes, so the audit trail does not have them."""
    by, address = auth.caller_name(request), auth.address_of(request)
    path = request.rel_url.raw_path[:300]
    _log.warning(
        "denied: %d %s %s to %s from %s",
        status,
        request.method,
        path,
        by,
        address,
        extra={"by": by, "address": address, "status": status},
    )


def tell_errors(error_page: errors.ErrorPage | None) -> Middleware:
    """Turn what is raised into an answer."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return await errors.answer(request, error, error_page)
        except Exception as error:  # noqa: BLE001  # the fallback: a 500 with a number, logged
            if isinstance(error, ConnectionError) and _has_left(request):
                return web.Response(status=400)  # nobody is left to read it; it is counted
            return await errors.answer(request, error, error_page)

    return middleware


@web.middleware
async def check_site(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what was not meant for this node. Health checks come from anywhere and tell nothing."""
    if request.path not in {"/healthz", "/readyz"}:
        check_host(request)
        check_origin(request)
    return await handler(request)


@web.middleware
async def take_form(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have a form come in as a whole before anything looks at it; one that drips is refused."""
    if request.content_type in auth.FORMS and not is_api(request.path):
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await request.post()
        except TimeoutError:
            raise Malformed(f"the form did not arrive within {BODY_SECONDS:.0f} seconds") from None
    return await handler(request)


@web.middleware
async def check_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who asks; only public addresses are answered to nobody."""
    if request.path.startswith("/internal/"):
        return await handler(request)
    if is_public(request.path):
        with contextlib.suppress(Unauthenticated):
            await auth.identify(request)
        return await handler(request)
    await auth.identify(request)
    auth.who(request)
    await auth.check_csrf(request)
    return await handler(request)


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer carries: who answered, how fresh it is, what browsers must not do."""
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)
    if request.app[SITE].tls and not is_own_machine(request):
        response.headers.setdefault("Strict-Transport-Security", _STRICT_TRANSPORT)
    response.headers["Server"] = "CronCord"
    freshness = request.app[DESK].cluster.freshness()
    response.headers["Croncord-Node"] = _header_text(freshness["node"])
    response.headers["Croncord-Leader"] = _header_text(freshness["leader"] or "")
    note = request.get(_NOTE)
    if note is not None and note.own_copy:
        response.headers["Croncord-Stale"] = str(freshness["stale_seconds"])


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _header_text(name: str) -> str:
    """Return a name as a header may carry it."""
    return name.encode("ascii", "backslashreplace").decode()
