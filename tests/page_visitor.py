"""Pages as a browser without scripts sees them, and a check of their HTML."""

import re
from contextlib import asynccontextmanager
from html.parser import HTMLParser

from aiohttp.test_utils import TestClient
from desks import PASSWORD
from web_clients import NodeServer

from croncord.web.app import create_app
from croncord.web.pages import render_error, setup_pages

PAGES = [
    "/",
    "/jobs",
    "/jobs/new",
    "/jobs/backup",
    "/jobs/backup/edit",
    "/runs",
    "/logs",
    "/nodes",
    "/cluster",
    "/find",
    "/day",
    "/cluster/drill",
    "/audit",
    "/settings",
    "/settings/notifications",
    "/views?listing=jobs&query=state%3Dfailed",
]
VOID = {"meta", "link", "input", "br", "hr", "use", "path", "option", "circle", "rect"}


class Visitor:
    """A browser without scripts: keeps its cookies, follows nothing by itself."""

    def __init__(self, office, client):
        self.office = office
        self.client = client
        self.csrf = ""

    async def sign_in(self, role="admin"):
        await self.office.add_user(f"the-{role}", role)
        answer = await self.post("/login", name=f"the-{role}", password=PASSWORD)
        assert answer.status == 303, await answer.text()
        page = await self.text("/runs")
        self.csrf = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]

    async def get(self, path, **options):
        return await self.client.get(path, allow_redirects=False, **options)

    async def text(self, path, status=200):
        answer = await self.get(path)
        assert answer.status == status, (path, answer.status, answer.headers.get("Location"))
        return await answer.text()

    async def post(self, path, fields=None, **more):
        pairs = list(fields.items() if isinstance(fields, dict) else fields or ())
        data = [("csrf_token", self.csrf), *pairs, *more.items()]
        return await self.client.post(path, data=data, allow_redirects=False)


def pages_of(office):
    app = create_app(office.desk, error_page=render_error)
    setup_pages(app, office.desk, office.logs)
    return NodeServer(app)


@asynccontextmanager
async def visiting(office):
    async with TestClient(pages_of(office)) as client:
        yield Visitor(office, client)


@asynccontextmanager
async def serving(office):
    """Serve the pages of an office to a browser; `office.base` says where, and all is closed after."""
    async with pages_of(office) as server:
        office.base = str(server.make_url("")).rstrip("/")
        yield office
    await office.close()


class Checker(HTMLParser):
    """Refuses what the security policy would: inline scripts, styles, handlers; and open tags."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.ids = []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        assert tag != "style"
        assert "style" not in names, (tag, attributes)
        assert not any(name.startswith("on") for name in names), attributes
        assert tag != "script" or names.get("src", "").startswith("/static/")
        self.ids += [names["id"]] if "id" in names else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if self.open[-1:] != [tag]:
            assert tag in {"p", "li"}, (tag, self.open)
        self.open.pop()


async def refused(answer, status=422):
    """Return the page that says what was wrong with a form."""
    page = await answer.text()
    assert answer.status == status, page
    check_html(page)
    return page


def check_html(html):
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
