"""The web application over a desk, asked as programs and browsers would."""

import io
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from desks import ADMIN_TOKEN, PASSWORD

from croncord.web.app import create_app


class NodeServer(TestServer):
    """Serves as a node does: no log of queries, and readers that leave are noticed by writing."""

    async def _make_runner(self, **_options):
        return web.AppRunner(self.app, access_log=None, shutdown_timeout=1)


class Door:
    """A client of the application that knows tokens for each role."""

    def __init__(self, office, client, tokens) -> None:
        self.office = office
        self.client = client
        self.tokens = {**tokens, "admin": ADMIN_TOKEN}

    async def ask(self, method, path, *, role="admin", **options):
        """Send a request with a role's token, with none for None."""
        headers = dict(options.pop("headers", None) or {})
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])
        if role is not None:
            headers.setdefault("Authorization", f"Bearer {self.tokens[role]}")
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path, **options):
        """GET and return the JSON of a 200."""
        answer = await self.ask("GET", path, **options)
        assert answer.status == 200, (path, answer.status, await answer.text())
        return await answer.json()

    async def problem(self, method, path, **options):
        """Return status and body of a refusal."""
        answer = await self.ask(method, path, **options)
        assert answer.status >= 400, (path, answer.status)
        assert answer.content_type == "application/problem+json"
        body = await answer.json()
        assert body["status"] == answer.status
        assert {"type", "title", "status", "detail"} <= set(body)
        return answer.status, body

    async def wrong_fields(self, method, path, **options):
        """Return the fields that a 422 names."""
        status, body = await self.problem(method, path, **options)
        assert status == 422, body
        return [error["field"] for error in body["errors"]]

    async def cookie(self, role="operator"):
        """Sign somebody in; returns the header with the cookie, and the CSRF token."""
        await self.office.add_user(f"the {role}", role)
        access = self.office.desk.access
        who, value = await access.sign_in(f"the {role}", PASSWORD, "127.0.0.1")
        return {"Cookie": f"croncord_{self.cookie_suffix}={value}"}, who.csrf

    cookie_suffix = "d0f631ca"
    """The first digits of the digest of the cluster's id, c1."""


@asynccontextmanager
async def door_to(office, **options):
    """Serve the desk on loopback."""
    app = create_app(office.desk, **options)
    tokens = {role: await office.add_token(role) for role in ("viewer", "operator")}
    async with TestClient(NodeServer(app)) as client:
        yield Door(office, client, tokens)
