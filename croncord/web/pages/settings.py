"""Users, tokens, secrets, limits per label, and one's own sessions."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, get_args
from urllib.parse import quote

from aiohttp import web

from croncord.credentials import Role, Scope
from croncord.errors import Conflict, CronCordError, FieldError, Invalid, NotFound
from croncord.service import Who
from croncord.service.throttle import Throttled
from croncord.web import auth
from croncord.web.pages.frame import Frame, see_other
from croncord.web.pages.reach_form import (
    grants_text,
    grants_words,
    reach_from,
    words_from,
)

SHOWN_MAX: Final = 1000
_LASTS: Final = (
    ("", "Never expires"),
    ("1", "1 day"),
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "A year"),
)
_KEPT: Final = ("name", "role", "grants", "tags", "expires", "limits", "scope")
Post = Mapping[str, Any]
Change = Callable[[Who, Post], Awaitable[str]]
"""Makes a change of what a form says; returns what to tell."""


class SettingsPages:
    """`/settings` and everything below."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._desk = frame.desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        token = "/settings/tokens/{id}"  # noqa: S105  # a path
        return [
            web.get("/settings", self.show),
            web.post("/settings/password", self.change_password),
            self._form("/settings/users", "users", self.add_user),
            web.get("/settings/users/{name}", self.show_user),
            web.post("/settings/users/{name}", self.change_user),
            self._form("/settings/users/{name}/remove", "users", self.remove_user),
            self._form("/settings/users/{name}/sign-out", "users", self.sign_out_user),
            web.post("/settings/tokens", self.create_token),
            web.post(f"{token}/rotate", self.rotate_token),
            self._form(f"{token}/revoke", "tokens", self.revoke_token),
            self._form("/settings/secrets", "secrets", self.set_secret),
            self._form("/settings/secrets/{name}/delete", "secrets", self.delete_secret),
            self._form("/settings/label-limits", "limits", self.set_limits),
        ]

    def _form(self, path: str, section: str, change: Change) -> web.RouteDef:
        """Return a route that makes a change and shows the settings again."""

        async def handler(request: web.Request) -> web.Response:
            post: dict[str, Any] = {**await request.post(), **request.match_info}
            try:
                note = await change(auth.who(request), post)
            except CronCordError as error:
                if error.status not in {409, 422}:
                    raise
                return await self._show(request, section=section, error=error, typed=post)
            return see_other(f"/settings#{section}", note)

        return web.post(path, handler)

    async def show(self, request: web.Request) -> web.Response:
        """Show all settings that the caller may see."""
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
        is_admin = who.may("admin")
        people, desk = self._desk.people, self._desk
        context: dict[str, Any] = {
            "is_admin": is_admin,
            "section": section,
            "error": error,
            "typed": {name: str((typed or {}).get(name, "")) for name in _KEPT},
            "may": grants_words,
            "mine": grants_words({"role": who.role, "grants": _plain(who)}),
            "roles": get_args(Role),
            "scopes": get_args(Scope),
            "lasts": _LASTS,
            "users": (await people.users(who, limit=SHOWN_MAX))["items"] if is_admin else [],
            "tokens": (await people.tokens(who, limit=SHOWN_MAX))["items"] if is_admin else [],
            "secrets": await desk.secrets.list(who) if who.may_some_job("edit") else [],
            "limits": (await desk.cluster.label_limits(who))["limits"],
        }
        return await self._frame.page(
            request, "settings.html", context, status=error.status if error else 200
        )

    # You

    async def change_password(self, request: web.Request) -> web.Response:
        """Have who is signed in choose another password; this browser stays signed in."""
        post, who = await request.post(), auth.who(request)
        try:
            fields = _password_change(post)
            name = who.name.removeprefix("user:")
            cookie = await self._desk.access.change_password(who, name, fields)
        except (Invalid, Conflict, Throttled) as error:
            return await self._show(request, section="you", error=error)
        response = see_other(
            "/settings#you", "Your password is changed. Your other sessions have ended."
        )
        auth.begin_session(request, response, cookie)
        return response

    # Users

    async def add_user(self, who: Who, post: Post) -> str:
        """Create a user."""
        fields = {"name": _text(post, "name"), "password": str(post.get("password", ""))}
        user = await self._desk.people.create_user(who, fields | reach_from(post))
        return f"{user['name']} may sign in now."

    async def show_user(self, request: web.Request) -> web.Response:
        """Show the form of a user."""
        return await self._user(request, await self._known_user(request))

    async def change_user(self, request: web.Request) -> web.Response:
        """Change a user, or show the form again with what is wrong."""
        who, user = auth.who(request), await self._known_user(request)
        post = await request.post()
        typed = {"role": str(post.get("role", "")), "grants": str(post.get("grants", ""))}
        try:
            fields = {"grants": []} | reach_from(post)
            if password := str(post.get("password", "")):
                fields["password"] = password
            await self._desk.people.change_user(who, user["name"], fields)
        except Invalid as error:
            return await self._user(request, user, error=error, typed=typed)
        return see_other("/settings#users", f"{user['name']} is changed.")

    async def remove_user(self, who: Who, post: Post) -> str:
        """Remove a user."""
        await self._desk.people.remove_user(who, str(post["name"]))
        return f"{post['name']} is removed; their sessions have ended."

    async def sign_out_user(self, who: Who, post: Post) -> str:
        """End a user's sessions."""
        await self._desk.people.end_sessions(who, str(post["name"]))
        return f"{post['name']} is signed out everywhere."

    async def _known_user(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["name"]
        users = await self._desk.people.users(auth.who(request), limit=SHOWN_MAX)
        user = next((it for it in users["items"] if it["name"] == name), None)
        if user is None:
            raise NotFound(f"no user is named {name[:128]!r}", hint="See the settings.")
        return dict(user)

    async def _user(
        self,
        request: web.Request,
        user: dict[str, Any],
        *,
        error: CronCordError | None = None,
        typed: dict[str, str] | None = None,
    ) -> web.Response:
        context = {
            "user": user,
            "error": error,
            "roles": get_args(Role),
            "typed": typed or {"role": user["role"], "grants": grants_text(user["grants"])},
            "path": f"/settings/users/{quote(user['name'], safe='')}",
        }
        return await self._frame.page(
            request, "user.html", context, status=error.status if error else 200
        )

    # Tokens

    async def create_token(self, request: web.Request) -> web.Response:
        """Create a token and show its secret, this once."""
        post = await request.post()
        who = auth.who(request)
        try:
            fields: dict[str, Any] = {"name": _text(post, "name")} | reach_from(post)
            if scopes := [str(scope) for scope in post.getall("scope", [])]:
                fields["scopes"] = scopes
            if days := _text(post, "expires"):
                fields["expires_at"] = self._in_days(days)
            token = await self._desk.people.create_token(who, fields)
        except Invalid as error:
            return await self._show(request, section="tokens", error=error, typed=post)
        return await self._frame.page(request, "token.html", {"token": token, "may": grants_words})

    def _in_days(self, text: str) -> str:
        if not text.isdecimal() or len(text) > 4:
            raise Invalid([FieldError("expires", f"{text[:16]!r} is not a number of days")])
        at = self._desk.clock.now() + timedelta(days=int(text))
        return at.isoformat()

    async def rotate_token(self, request: web.Request) -> web.Response:
        """Give a token a new secret and show it, this once."""
        token = await self._desk.people.rotate_token(auth.who(request), request.match_info["id"])
        return await self._frame.page(request, "token.html", {"token": token, "may": grants_words})

    async def revoke_token(self, who: Who, post: Post) -> str:
        """Revoke a token."""
        await self._desk.people.revoke_token(who, str(post["id"]))
        return "The token is revoked."

    # Secrets and limits

    async def set_secret(self, who: Who, post: Post) -> str:
        """Set a secret or replace it."""
        fields = {
            "value": str(post.get("value", "")).replace("\r\n", "\n"),
            "tags": words_from(_text(post, "tags")),
        }
        secret = await self._desk.secrets.put(who, _text(post, "name"), fields)
        return f"The secret {secret['name']} is set. Runs that begin from now on are given it."

    async def delete_secret(self, who: Who, post: Post) -> str:
        """Delete a secret."""
        await self._desk.secrets.delete(who, str(post["name"]), force=bool(post.get("force")))
        return f"The secret {post['name']} is deleted."

    async def set_limits(self, who: Who, post: Post) -> str:
        """Replace the limits per label."""
        limits: dict[str, int] = {}
        for number, line in enumerate(_text(post, "limits").splitlines(), 1):
            label, _, count = line.strip().rpartition(" ")
            if not line.strip():
                continue
            if not label.strip() or not (count.isascii() and count.isdecimal()) or len(count) > 7:
                message = f"line {number} is not like `gpu=a100 2`"
                raise Invalid([FieldError("limits", message)])
            limits[label.strip()] = int(count)
        await self._desk.cluster.set_label_limits(who, limits)
        return "The limits are set."


def _password_change(post: Post) -> dict[str, str]:
    fields = {name: str(post.get(name, "")) for name in ("current_password", "password")}
    if post.get("password_again") != fields["password"]:
        raise Invalid([FieldError("password_again", "the two passwords differ")])
    return fields


def _text(post: Post, name: str) -> str:
    return str(post.get(name, "")).strip()


def _plain(who: Who) -> list[dict[str, Any]]:
    return [{"role": grant.role, "tags": list(grant.tags)} for grant in who.grants]
