"""What belongs to no page: assets, the pulse for scripts, and how this browser wants to see things."""

from aiohttp import web

from croncord.web import auth
from croncord.web.pages.frame import KEYS, THEME, TIMES, Frame, keep_choice, see_other
from croncord.web.query import local_path


class Chrome:
    """`/static`, `/pulse`, `/preferences`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/static/{hash}/{name}", self._frame.assets.serve),
            web.get("/favicon.ico", self.favicon),
            web.get("/pulse", self.pulse),
            web.post("/preferences", self.prefer),
        ]

    async def favicon(self, _request: web.Request) -> web.Response:
        """Send browsers that ask by themselves to the icon."""
        return see_other(self._frame.assets.url("favicon.svg"))

    async def pulse(self, request: web.Request) -> web.Response:
        """Show header and banner alone, for a page that asks every few seconds."""
        auth.who(request)
        return self._frame.fragment(request, "pulse_only.html")

    async def prefer(self, request: web.Request) -> web.Response:
        """Keep the theme, the kind of times or the shortcuts' switch, and go back."""
        post = await request.post()
        response = see_other(local_path(str(post.get("next", ""))))
        keep_choice(response, THEME, str(post.get("theme", "")))
        keep_choice(response, TIMES, str(post.get("times", "")))
        keep_choice(response, KEYS, str(post.get("keys", "")))
        return response
