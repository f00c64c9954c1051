"""The web application: routes of API, pages and peers behind one set of checks."""

from collections.abc import Collection, Iterable

from aiohttp import web

from croncord.service import Desk
from croncord.web.api.body import JSON_BYTES_MAX
from croncord.web.api.metrics import REQUESTS, RequestTally
from croncord.web.api.table import ENDPOINTS
from croncord.web.errors import ErrorPage
from croncord.web.middleware import (
    check_caller,
    check_site,
    observe,
    set_headers,
    take_form,
    tell_errors,
)
from croncord.web.parts import DESK, SITE, Site
from croncord.web.routes import with_any_names
from croncord.web.stream import end_streams_on_shutdown

FORM_OVERHEAD_BYTES = 64 * 1024
"""A form with a script of full size is a little larger than the script."""


def create_app(
    desk: Desk,
    *,
    tls: bool = False,
    allowed_hosts: Collection[str] = (),
    peer_routes: Iterable[web.AbstractRouteDef] = (),
    extra_routes: Iterable[web.AbstractRouteDef] = (),
    error_page: ErrorPage | None = None,
) -> web.Application:
    """Build the application.

    `allowed_hosts` are names, without port, under which this node may be addressed besides those
    of the members. `extra_routes` are the pages; `error_page` shows problems to people. Handlers
    find who asks by `croncord.web.auth.who(request)`.
    """
    requests = RequestTally()
    app = web.Application(
        middlewares=[
            observe(requests.count),
            tell_errors(error_page),
            check_site,
            take_form,
            check_caller,
        ],
        client_max_size=JSON_BYTES_MAX + FORM_OVERHEAD_BYTES,
    )
    app[DESK] = desk
    app[SITE] = Site(tls=tls, allowed_hosts=frozenset(name.lower() for name in allowed_hosts))
    app[REQUESTS] = requests
    app.on_response_prepare.append(set_headers)
    end_streams_on_shutdown(app)
    api = (endpoint.route() for endpoint in ENDPOINTS)
    app.add_routes(with_any_names([*api, *peer_routes, *extra_routes]))
    return app
