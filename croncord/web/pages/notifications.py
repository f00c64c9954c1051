"""Who is told what: notices and each attempt at them, channels, the cluster's own settings."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from aiohttp import web

from croncord.errors import CronCordError, FieldError, Invalid
from croncord.notification import JOB_KINDS, ChannelKind
from croncord.web import auth
from croncord.web.pages.frame import Frame, see_other
from croncord.web.pages.job_form import seconds_in
from croncord.web.pages.reach_form import words_from

SHOWN: Final = 50
HERE: Final = "/settings/notifications"
_KEPT: Final = ("name", "kind", "to", "command")
_SECURITY: Final = (
    ("starttls", "STARTTLS"),
    ("tls", "TLS from the start"),
    ("none", "None: in the clear"),
)
_SMTP_TYPED: Final = ("host", "port", "security", "sender", "username")
Post = Mapping[str, Any]


class NotificationPages:
    """`/settings/notifications` and its forms."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._notifications = frame.desk.notifications

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(HERE, self.show),
            web.post(HERE, self.set_settings),
            web.post(f"{HERE}/channels", self.set_channel),
            web.post(f"{HERE}/channels/{{name}}/test", self.test_channel),
            web.post(f"{HERE}/channels/{{name}}/delete", self.delete_channel),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show what was told, and to admins everything else."""
        return await self._show(request)

    async def _show(
        self,
        request: web.Request,
        *,
        section: str = "",
        error: CronCordError | None = None,
        typed: Post | None = None,
    ) -> web.Response:
        who = auth.who(request)
        settings = await self._notifications.settings(who) if who.may("admin") else None
        if settings and typed is not None and section == "settings":
            settings = _as_typed(settings, typed)
        job = request.query.get("job", "")
        told = await self._notifications.list(who, job=job, limit=SHOWN)
        sees_channels = who.may_some_job("edit")
        context = {
            "job": job,
            "told": told["items"],
            "pending": told["pending"],
            "is_admin": who.may("admin"),
            "channels": await self._notifications.channels(who) if sees_channels else [],
            "settings": settings,
            "section": section,
            "error": error,
            "typed": {name: str((typed or {}).get(name, "")) for name in _KEPT},
            "channel_kinds": get_args(ChannelKind),
            "kinds": JOB_KINDS,
            "securities": _SECURITY,
        }
        return await self._frame.page(
            request, "notifications.html", context, status=error.status if error else 200
        )

    async def set_channel(self, request: web.Request) -> web.Response:
        """Make a channel or replace it."""
        post = await request.post()
        name, kind = _text(post, "name"), _text(post, "kind")
        fields: dict[str, Any] = {"kind": kind}
        if url := _text(post, "value"):
            fields["url"] = url
        if receivers := words_from(_text(post, "to")):
            fields["to"] = receivers
        if command := _text(post, "command"):
            fields["command"] = command
        try:
            await self._notifications.put_channel(auth.who(request), name, fields)
        except Invalid as error:
            return await self._show(request, section="channels", error=error, typed=post)
        return see_other(f"{HERE}#channels", f"The channel {name} is set.")

    async def test_channel(self, request: web.Request) -> web.Response:
        """Send a test."""
        name = request.match_info["name"]
        await self._notifications.test(auth.who(request), name)
        return see_other(f"{HERE}#told", f"A test is on its way to {name}.")

    async def delete_channel(self, request: web.Request) -> web.Response:
        """Delete a channel."""
        name = request.match_info["name"]
        try:
            await self._notifications.delete_channel(auth.who(request), name)
        except CronCordError as error:
            if error.status != 409:
                raise
            return await self._show(request, section="channels", error=error)
        return see_other(f"{HERE}#channels", f"The channel {name} is deleted.")

    async def set_settings(self, request: web.Request) -> web.Response:
        """Replace the cluster's own settings; what is secret stays unless it is typed."""
        who, post = auth.who(request), await request.post()
        try:
            await self._notifications.put_settings(who, _settings_from(post))
        except Invalid as error:
            return await self._show(request, section="settings", error=error, typed=post)
        return see_other(f"{HERE}#settings", "The settings are saved.")


def _as_typed(settings: dict[str, Any], post: Any) -> dict[str, Any]:
    """Return the settings as a form that was refused has them; what is secret is typed again."""
    smtp = {name: _text(post, f"smtp.{name}") for name in _SMTP_TYPED}
    return {
        **settings,
        "on": post.getall("on", []),
        "channels": post.getall("channels", []),
        "no_quorum": bool(post.get("no_quorum")),
        "url": _text(post, "url"),
        "smtp": {**settings["smtp"], **smtp},
        "heartbeat": {
            **settings["heartbeat"],
            "every_seconds": _text(post, "heartbeat.every_seconds"),
        },
    }


def _settings_from(post: Any) -> dict[str, Any]:
    """Return the fields of the settings' form. Raises Invalid."""
    port = _text(post, "smtp.port") or "587"
    if not (port.isascii() and port.isdecimal()) or len(port) > 5:
        raise Invalid([FieldError("smtp.port", f"{port[:16]!r} is not a port")])
    smtp: dict[str, Any] = {
        "host": _text(post, "smtp.host"),
        "port": int(port),
        "security": _text(post, "smtp.security") or "starttls",
        "sender": _text(post, "smtp.sender"),
        "username": _text(post, "smtp.username"),
    }
    if password := str(post.get("password", "")):
        smtp["password"] = password
    try:
        every_seconds = seconds_in(_text(post, "heartbeat.every_seconds") or "60")
    except ValueError as error:
        raise Invalid([FieldError("heartbeat.every_seconds", str(error))]) from None
    heartbeat: dict[str, Any] = {"every_seconds": every_seconds}
    if url := _text(post, "value"):
        heartbeat["url"] = url
    elif post.get("no_heartbeat"):
        heartbeat["url"] = ""
    return {
        "on": [str(kind) for kind in post.getall("on", [])],
        "channels": [str(name) for name in post.getall("channels", [])],
        "no_quorum": bool(post.get("no_quorum")),
        "url": _text(post, "url"),
        "smtp": smtp,
        "heartbeat": heartbeat,
    }


def _text(post: Post, name: str) -> str:
    return str(post.get(name, "")).strip()
