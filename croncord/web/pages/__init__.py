"""The pages: one module per page, put together here for the application."""

from aiohttp import web

from croncord.ports import RunLogs
from croncord.service import Desk
from croncord.web.pages.audit import AuditPage
from croncord.web.pages.bulk import BulkPages
from croncord.web.pages.chrome import Chrome
from croncord.web.pages.day import DayPage
from croncord.web.pages.door import Door
from croncord.web.pages.drill import DrillPage
from croncord.web.pages.edit import JobEditor
from croncord.web.pages.find import FindPage
from croncord.web.pages.frame import FRAME, Frame, setup_templates
from croncord.web.pages.job import JobPage
from croncord.web.pages.jobs import JobList
from croncord.web.pages.logs import LogSearch
from croncord.web.pages.nodes import NodePages
from croncord.web.pages.notifications import NotificationPages
from croncord.web.pages.output import OutputStream
from croncord.web.pages.overview import Overview
from croncord.web.pages.problem import render_error
from croncord.web.pages.run import RunPage
from croncord.web.pages.runs import RunList
from croncord.web.pages.saved_views import SavedViewPages
from croncord.web.pages.settings import SettingsPages
from croncord.web.pages.versions import VersionPage
from croncord.web.pages.why import WhyPage
from croncord.web.routes import with_any_names

__all__ = ["page_routes", "render_error", "setup_pages", "setup_templates"]


def page_routes(frame: Frame) -> list[web.RouteDef]:
    """Return the routes of all pages; fixed paths come before those with a name in them."""
    pages = (
        Chrome,
        Door,
        Overview,
        DayPage,
        FindPage,
        JobList,
        BulkPages,
        JobEditor,
        JobPage,
        VersionPage,
        WhyPage,
        RunList,
        RunPage,
        OutputStream,
        LogSearch,
        NodePages,
        DrillPage,
        AuditPage,
        SavedViewPages,
        NotificationPages,
        SettingsPages,
    )
    return [route for page in pages for route in page(frame).routes()]


def setup_pages(app: web.Application, desk: Desk, logs: RunLogs) -> None:
    """Give the application its pages, templates and assets."""
    frame = Frame(desk, logs)
    app[FRAME] = frame
    setup_templates(app)
    app.add_routes(with_any_names(page_routes(frame)))
