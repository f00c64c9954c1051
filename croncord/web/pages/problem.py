"""Pages for what went wrong: in words, with a next step, and nothing typed thrown away."""

from urllib.parse import quote

from aiohttp import web

from croncord.web.errors import Problem
from croncord.web.pages.carry import carried_from
from croncord.web.pages.frame import FRAME, see_other
from croncord.web.pages.sign_in import show_sign_in

_KEPT_BYTES_MAX = 64 * 1024


async def render_error(request: web.Request, problem: Problem) -> web.StreamResponse:
    """Show a problem to a person; who is not signed in is sent to do so and comes back."""
    frame = request.app[FRAME]
    if problem.status == web.HTTPUnauthorized.status_code:
        carried = await carried_from(request)
        if carried is not None:
            return await show_sign_in(frame, request, carried=carried)
        back = request.path_qs if request.method == "GET" else "/"
        return see_other(f"/login?next={quote(back, safe='/')}" if back != "/" else "/login")
    again = await _again(request) if problem.status in {503, 504} else None
    context = {"problem": problem, "again": again}
    return await frame.page(request, "problem.html", context, status=problem.status)


async def _again(request: web.Request) -> list[tuple[str, str]] | None:
    """Return the fields of a small form, so that its button can be pressed again."""
    if request.method != "POST" or (request.content_length or 0) > _KEPT_BYTES_MAX:
        return None
    post = await request.post()
    return [
        (name, value)
        for name, value in post.items()
        if isinstance(value, str) and name != "csrf_token"
    ]
