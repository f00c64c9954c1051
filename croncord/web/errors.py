"""From exceptions to answers: the one place. Programs get `application/problem+json` (RFC 9457)."""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from croncord.errors import (
    CronCordError,
    FieldError,
    Invalid,
    Malformed,
    NotFound,
    OutcomeUnknown,
    TooLarge,
)
from croncord.web.parts import is_api

_log = logging.getLogger(__name__)
_RETRY_AFTER_SECONDS = 1
_TITLES = {405: "Method not allowed", 415: "Unsupported media type"}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done."""

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""
    errors: list[FieldError] = []
    """Each wrong field, for 422."""
    outcome: str = ""
    """`unknown` when the change may yet take effect, for 504."""


ErrorPage = Callable[[web.Request, Problem], Awaitable[web.StreamResponse]]
"""Shows a problem to a person: the renderer of the pages."""


class UnsupportedMedia(CronCordError):
    """The body is not of a type that is understood here."""

    status = 415
    title = "Unsupported media type"
    exit_code = 2


def problem_of(error: Exception) -> Problem:
    """Describe an exception. One that nobody expected gets an id, which stands in the log."""
    if isinstance(error, CronCordError):
        return Problem(
            type=_type(type(error).__name__),
            title=error.title,
            status=error.status,
            detail=error.message,
            hint=error.hint,
            errors=list(error.errors) if isinstance(error, Invalid) else [],
            outcome="unknown" if isinstance(error, OutcomeUnknown) else "",
        )
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error)
    if isinstance(error, web.RequestPayloadError):
        return problem_of(Malformed("the body broke off or is packed in a way not understood"))
    number = secrets.token_hex(4)
    _log.exception("error %s", number, exc_info=error)
    return Problem(
        type=_type("Internal"),
        title="Internal error",
        status=500,
        detail="something went wrong here",
        hint=f"The log of this node has more under the number {number}.",
    )


def _of_aiohttp(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPNotFound):
        return problem_of(NotFound("there is nothing at this address"))
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problem_of(TooLarge("the body is larger than 2 MiB"))
    if isinstance(error, web.HTTPBadRequest):
        return problem_of(Malformed(error.text or "the request cannot be read"))
    detail = error.reason
    if isinstance(error, web.HTTPMethodNotAllowed):
        detail = f"{error.method} is not possible here"
        hint = f"Possible are {', '.join(sorted(error.allowed_methods))}."
        title = _TITLES[405]
        return Problem(
            type=_type("MethodNotAllowed"), title=title, status=405, detail=detail, hint=hint
        )
    return Problem(
        type=_type("Http"), title=error.reason, status=error.status, detail=detail, hint=""
    )


async def answer(
    request: web.Request, error: Exception, error_page: ErrorPage | None
) -> web.StreamResponse:
    """Return the answer that tells of the exception, as a page where a person asks."""
    problem = problem_of(error)
    if error_page is not None and not is_api(request.path):
        response = await error_page(request, problem)
    else:
        response = web.Response(
            status=problem.status,
            body=msgspec.json.encode(problem),
            content_type="application/problem+json",
        )
    response.headers.update(_headers(error, problem))
    return response


def _headers(error: Exception, problem: Problem) -> dict[str, str]:
    headers: dict[str, Any] = {}
    if problem.status == web.HTTPServiceUnavailable.status_code:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    if problem.status == web.HTTPTooManyRequests.status_code:
        headers["Retry-After"] = str(getattr(error, "retry_after_seconds", _RETRY_AFTER_SECONDS))
    if problem.status == web.HTTPUnauthorized.status_code:
        headers["WWW-Authenticate"] = 'Bearer realm="croncord"'
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return headers


def _type(name: str) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
    return f"urn:croncord:problem:{words}"
