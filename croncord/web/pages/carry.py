"""A form whose session had ended: what was typed goes along through signing in, and is sent by hand.

It travels in hidden fields of our own pages only, never in an address or a cookie, and nothing is
kept on the server. Passwords and other secrets are left out, they are typed again. Such a form never
comes from another site: `host_check` has refused it before.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiohttp import web

from croncord.web.auth import CSRF_FIELD
from croncord.web.query import local_path

CHARACTERS_MAX: Final = 1_500_000
FIELDS_MAX: Final = 10_000
FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

_PATH, _LACKS = "carried_path", "carried_lacks"
_MARK = "carried."
_LEFT_OUT = frozenset(
    {CSRF_FIELD, "password", "current_password", "password_again", "token", "link", "value"}
)
_NOT_FOR = ("/login", "/logout", "/setup", "/api/", "/internal/")


class Carried(NamedTuple):
    """A form to be sent again: where to, and its fields in order."""

    path: str
    fields: tuple[tuple[str, str], ...]
    lacks: tuple[str, ...] = ()
    """What must be typed or chosen again, by the names of the fields."""

    def hidden(self) -> list[tuple[str, str]]:
        """Return the fields by which the sign-in form carries it."""
        marked = [(_MARK + name, value) for name, value in self.fields]
        return [(_PATH, self.path), (_LACKS, " ".join(self.lacks)), *marked]


async def carried_from(request: web.Request) -> Carried | None:
    """Return the form that this request sent, None when there is none to carry."""
    wants_page = "X-Croncord-Live" not in request.headers
    if request.method != "POST" or request.content_type not in FORMS or not wants_page:
        return None
    return _carried(request.path_qs, (await request.post()).items())


def carried_in(post: Mapping[str, Any], items: Iterable[tuple[str, Any]]) -> Carried | None:
    """Return the form that a sign-in form carries, None when it carries none."""
    path = post.get(_PATH)
    if not isinstance(path, str):
        return None
    marked = ((name.removeprefix(_MARK), v) for name, v in items if name.startswith(_MARK))
    found = _carried(path, marked)
    return found and found._replace(lacks=tuple(str(post.get(_LACKS, "")).split()))


def _carried(path: str, items: Iterable[tuple[str, Any]]) -> Carried | None:
    fields: list[tuple[str, str]] = []
    lacks: list[str] = []
    for name, value in items:
        if name == CSRF_FIELD:
            continue
        if name in _LEFT_OUT or not isinstance(value, str):
            lacks += [name] if value else []
        else:
            fields.append((name, value))
    size = sum(len(name) + len(value) for name, value in fields)
    if size > CHARACTERS_MAX or len(fields) > FIELDS_MAX or path.startswith(_NOT_FOR):
        return None
    return Carried(path, tuple(fields), tuple(lacks)) if local_path(path, "") == path else None
