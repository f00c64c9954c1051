"""Who asks: a Bearer token, or the browser's session cookie with its CSRF token.

A cookie is sent by the browser whoever wrote the page; so a change that comes with a cookie must
repeat the CSRF token, in the header `X-CSRF-Token` or the form field `csrf_token`. A Bearer token
cannot be sent by a foreign page and needs none.
"""

import hashlib
import hmac

from aiohttp import web

from croncord.errors import Forbidden, Unauthenticated
from croncord.service.sessions import SESSION_SECONDS
from croncord.service.who import Who
from croncord.web.parts import DESK, SITE

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_CHARACTERS_MAX = 512
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_WHO: web.RequestKey[Who] = web.RequestKey("who", Who)


def who(request: web.Request) -> Who:
    """Return who asks. Raises Unauthenticated."""
    found: Who | None = request.get(_WHO)
    if found is None:
        raise Unauthenticated(
            "nobody is signed in", hint="Sign in, or send `Authorization: Bearer TOKEN`."
        )
    return found


def caller_name(request: web.Request) -> str:
    """Return who asks, for logs: a name, never a secret; `-` for nobody."""
    found: Who | None = request.get(_WHO)
    return found.name if found else "-"


def address_of(request: web.Request) -> str:
    """Return the address the request came from."""
    return request.remote or "unknown"


async def identify(request: web.Request) -> None:
    """Note who asks, if anybody known does. Raises Unauthenticated for a token that is not known."""
    header = request.headers.get("Authorization")
    access = request.app[DESK].access
    if header is not None:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
            raise Unauthenticated(
                "the Authorization header is not `Bearer TOKEN`", hint="Send `Bearer TOKEN`."
            )
        request[_WHO] = await access.authenticate_token(token, address_of(request))
        return
    cookie = cookie_of(request)
    found = access.session(cookie, address_of(request)) if cookie else None
    if found is not None:
        request[_WHO] = found


async def check_csrf(request: web.Request) -> None:
    """Raise Forbidden for a change with a cookie that does not repeat its CSRF token."""
    found: Who | None = request.get(_WHO)
    if request.method in SAFE_METHODS or found is None or not found.csrf:
        return
    sent = request.headers.get(CSRF_HEADER)
    if sent is None and request.content_type in FORMS:
        field = (await request.post()).get(CSRF_FIELD)
        sent = field if isinstance(field, str) else None
    if not hmac.compare_digest((sent or "").encode(errors="replace"), found.csrf.encode()):
        raise Forbidden(
            "the CSRF token is missing or belongs to another session",
            hint="Load the page again and repeat what you did.",
        )


def cookie_name(request: web.Request) -> str:
    """Return a name of its own per cluster: browsers share cookies between ports of a host."""
    cluster_id = request.app[DESK].replica.state.cluster_id
    prefix = "__Host-" if request.app[SITE].tls else ""
    return f"{prefix}croncord_{hashlib.sha256(cluster_id.encode()).hexdigest()[:8]}"


def cookie_of(request: web.Request) -> str:
    """Return the session cookie that came along, empty for none."""
    return request.cookies.get(cookie_name(request), "")


def begin_session(request: web.Request, response: web.StreamResponse, cookie: str) -> None:
    """Have the browser keep the cookie that `AccessService` gave."""
    response.set_cookie(
        cookie_name(request),
        cookie,
        max_age=SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.app[SITE].tls,
    )


def end_session(request: web.Request, response: web.StreamResponse) -> None:
    """Have the browser forget the cookie."""
    response.del_cookie(
        cookie_name(request),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.app[SITE].tls,
    )
