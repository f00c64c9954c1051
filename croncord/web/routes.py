"""Routes whose variable parts may be any name, also one with braces, which aiohttp leaves out."""

import re
from collections.abc import Iterable

from aiohttp import web

_PART = re.compile(r"{(\w+)}")


def with_any_names(routes: Iterable[web.AbstractRouteDef]) -> list[web.AbstractRouteDef]:
    """Return the routes, with each `{part}` standing for everything up to the next slash."""
    return [
        web.RouteDef(
            route.method, _PART.sub(r"{\1:[^/]+}", route.path), route.handler, route.kwargs
        )
        if isinstance(route, web.RouteDef)
        else route
        for route in routes
    ]
