"""From an answer that says no (RFC 9457 problem details) to the exception that means it."""

from typing import Any

import msgspec

from croncord import errors
from croncord.errors import CronCordError, FieldError, Invalid

_BY_STATUS: dict[int, type[CronCordError]] = {
    400: errors.Malformed,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.VersionChanged,
    413: errors.TooLarge,
    503: errors.NotReady,
    504: errors.OutcomeUnknown,
}


def error_of(status: int, body: bytes, url: str) -> CronCordError:
    """Return the error that an answer with that status and body reports."""
    problem = _problem(body)
    if problem is None:
        return _foreign(status, url)
    detail = str(problem.get("detail") or problem.get("title") or f"status {status}")
    hint = str(problem.get("hint") or "")
    if status == errors.Invalid.status:
        return _invalid(problem, detail, hint)
    if status == errors.NoLeader.status and problem.get("title") == errors.NoLeader.title:
        return errors.NoLeader(detail, hint=hint)
    if status == errors.Unauthenticated.status:
        hint = hint or "Give a token with --token, CRONCORD_TOKEN or CRONCORD_TOKEN_FILE."
    return _BY_STATUS.get(status, CronCordError)(detail, hint=hint)


def _problem(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) and "title" in value else None


def _invalid(problem: dict[str, Any], detail: str, hint: str) -> CronCordError:
    listed = problem.get("errors")
    fields = [
        FieldError(str(e.get("field", "")), str(e.get("message", "")))
        for e in (listed if isinstance(listed, list) else [])
        if isinstance(e, dict)
    ]
    return Invalid(fields or [FieldError("request", detail)], hint=hint)


def _foreign(status: int, url: str) -> CronCordError:
    """Explain an answer that no CronCord node gives."""
    if status in _BY_STATUS:
        return _BY_STATUS[status](
            f"{url} answered with status {status} and no explanation",
            hint="Is something between you and the node, such as a proxy?",
        )
    return errors.ConfigError(
        f"{url} answered with status {status}, and not as a CronCord node does",
        hint="Check --url: another program may listen there.",
    )
