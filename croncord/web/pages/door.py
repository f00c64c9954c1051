"""Coming in and going out: sign in by password, token or one-time link; set-up; sign out."""

from aiohttp import web

from croncord.errors import (
    CronCordError,
    FieldError,
    Invalid,
    NoLeader,
    NotFound,
    OutcomeUnknown,
)
from croncord.web import auth
from croncord.web.pages.carry import carried_in
from croncord.web.pages.frame import Frame, see_other, signed_in
from croncord.web.pages.sign_in import show_sign_in
from croncord.web.query import local_path


class Door:
    """`/login`, `/setup`, `/logout`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/login", self.login),
            web.post("/login", self.sign_in),
            web.get("/setup", self.setup),
            web.post("/setup", self.set_up),
            web.post("/logout", self.sign_out),
        ]

    async def login(self, request: web.Request) -> web.Response:
        """Show the ways to sign in; a one-time link's page asks before the link is used up."""
        if signed_in(request) and "token" not in request.query:
            return see_other(local_path(request.query.get("next", "")))
        return await show_sign_in(self._frame, request)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Begin a session, or say why not. What was meant to be seen or sent comes next."""
        post = await request.post()
        access, address = self._frame.desk.access, auth.address_of(request)
        text = {name: value for name, value in post.items() if isinstance(value, str)}
        carried = carried_in(post, post.items())
        try:
            if text.get("link"):
                who, cookie = await access.use_link(text["link"], address)
            elif text.get("token"):
                who, cookie = await access.sign_in_token(text["token"].strip(), address)
            else:
                who, cookie = await access.sign_in(
                    text.get("name", ""), text.get("password", ""), address
                )
        except CronCordError as error:
            if error.status >= 500 and error.status != web.HTTPServiceUnavailable.status_code:
                raise
            return await show_sign_in(
                self._frame, request, error=error, typed=text, carried=carried
            )
        if carried is not None:
            context = {"carried": carried, "lacks": carried.lacks, "who": who, "csrf": who.csrf}
            response = await self._frame.page(request, "carry_on.html", context)
        else:
            response = see_other(local_path(text.get("next", "")))
        auth.begin_session(request, response, cookie)
        return response

    async def setup(self, request: web.Request) -> web.Response:
        """Show the form of the first visit."""
        secret = request.query.get("token", "")
        try:
            purpose = self._frame.desk.access.link_purpose(secret)
        except NotFound as error:
            return await self._setup(request, secret, error=error, usable=False)
        if purpose == "signin":
            return await show_sign_in(self._frame, request)
        return await self._setup(request, secret)

    async def set_up(self, request: web.Request) -> web.Response:
        """Create the first admin and sign in."""
        post = await request.post()
        secret, name = str(post.get("token", "")), str(post.get("name", "")).strip()
        password = str(post.get("password", ""))
        try:
            if password != str(post.get("password_again", password)):
                raise Invalid([FieldError("password_again", "the two passwords differ")])
            _, cookie = await self._frame.desk.access.set_up(
                secret, name, password, auth.address_of(request)
            )
        except CronCordError as error:
            if error.status >= 500 and error.status != web.HTTPServiceUnavailable.status_code:
                raise
            return await self._setup(request, secret, name=name, error=error)
        response = see_other("/", f"Welcome, {name}. You are signed in as an admin.")
        auth.begin_session(request, response, cookie)
        return response

    async def _setup(
        self,
        request: web.Request,
        secret: str,
        *,
        name: str = "",
        error: CronCordError | None = None,
        usable: bool = True,
    ) -> web.Response:
        fields = {e.field: e.message for e in error.errors} if isinstance(error, Invalid) else {}
        context = {
            "secret": secret,
            "name": name,
            "error": None if fields else error,
            "fields": fields,
            "usable": usable and not isinstance(error, NotFound),
        }
        return await self._frame.page(
            request, "setup.html", context, status=error.status if error else 200
        )

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session, in this browser or everywhere; without a leader only this browser's."""
        post = await request.post()
        who = auth.who(request)
        note = "You are signed out."
        try:
            if post.get("everywhere"):
                await self._frame.desk.people.end_sessions(who, who.name.removeprefix("user:"))
                note = "You are signed out in every browser."
            await self._frame.desk.access.end_session(who, auth.cookie_of(request))
        except (NoLeader, OutcomeUnknown):
            if post.get("everywhere"):
                raise
            note = (
                "You are signed out in this browser. The cluster could not be told: a copy of the "
                "cookie would be good until it expires."
            )
        response = see_other("/login", note)
        auth.end_session(request, response)
        return response
