"""The page that asks who somebody is; also in the middle of something."""

from collections.abc import Mapping

from aiohttp import web

from croncord.errors import CronCordError
from croncord.web.pages.carry import Carried
from croncord.web.pages.frame import Frame
from croncord.web.query import local_path


async def show_sign_in(
    frame: Frame,
    request: web.Request,
    *,
    error: CronCordError | None = None,
    typed: Mapping[str, str] | None = None,
    carried: Carried | None = None,
) -> web.Response:
    """Show the ways to sign in; `carried` is a form that is sent afterwards."""
    typed = typed or {}
    context = {
        "error": error,
        "name": typed.get("name", ""),
        "by_token": "token" in typed,
        "next": local_path(typed.get("next") or request.query.get("next", "")),
        "link": typed.get("link") or ("" if carried else request.query.get("token", "")),
        "carried": carried,
    }
    status = error.status if error else web.HTTPUnauthorized.status_code if carried else 200
    return await frame.page(request, "login.html", context, status=status)
