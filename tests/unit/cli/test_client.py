"""The client against small servers that misbehave as nodes do."""

import asyncio
import contextlib
import socket
import ssl

import pytest
from aiohttp import web
from certificates import AUTHORITY, STRANGER, node_tls
from peer_server import free_port
from yarl import URL

from croncord import errors
from croncord.cli.client import Client
from croncord.cli.connection import Connection
from croncord.cli.wire import path_of, target
from croncord.web.listen import listen


class FakeNode:
    """Answers in the order it was told to, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.url = None

    async def handle(self, request):
        self.asked.append(request)
        self.body = await request.read()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == "break":
            request.transport.close()
            return web.Response()
        if callable(answer):
            return await answer(request)
        status, body = answer
        kind = "application/problem+json" if status >= 400 else "application/json"
        return web.json_response(body, status=status, content_type=kind)


def problem(status, title, **more):
    return status, {"title": title, "status": status, "detail": f"it is {title}", **more}


TOKEN = "secret"
NO_LEADER = problem(503, "No leader")
OK = (200, {"fine": True})


@pytest.fixture
async def start(aiohttp_server):
    async def start(*answers):
        node = FakeNode(*answers)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", node.handle)
        node.url = (await aiohttp_server(app)).make_url("").origin()
        return node

    return start


@pytest.fixture
def dead_url():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return URL(f"http://127.0.0.1:{s.getsockname()[1]}")


def client_of(*urls, token=TOKEN, patience_seconds=5.0):
    return Client(Connection(urls=urls, token=token), patience_seconds=patience_seconds)


async def test_the_token_and_the_body_arrive(start):
    node = await start(OK)
    async with client_of(node.url) as client:
        assert await client.put("/api/v1/jobs/a", {"name": "a"}, if_match=3) == {"fine": True}
    (asked,) = node.asked
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["If-Match"] == '"3"'
    assert node.body == b'{"name":"a"}'


async def test_without_a_token_none_is_sent(start):
    node = await start(OK)
    async with client_of(node.url, token="") as client:
        await client.get("/x")
    assert "Authorization" not in node.asked[0].headers


async def test_a_dead_node_is_passed_over_and_not_tried_again(start, dead_url):
    node = await start(OK)
    async with client_of(dead_url, node.url) as client:
        await client.post("/x")
        assert client._urls[0] == node.url


async def test_no_node_at_all_is_told_at_once_with_every_address(dead_url):
    async with client_of(dead_url) as client:
        with pytest.raises(errors.Unreachable, match=str(dead_url)) as caught:
            await client.get("/x")
    assert "croncord serve" in caught.value.hint


async def test_an_election_is_outlasted_even_by_a_change(start):
    node = await start(NO_LEADER, NO_LEADER, OK)
    async with client_of(node.url) as client:
        assert await client.post("/x") == {"fine": True}
    assert len(node.asked) == 3


async def test_a_node_without_a_leader_is_followed_by_one_that_has_one(start):
    lonely, node = await start(NO_LEADER), await start(OK)
    async with client_of(lonely.url, node.url) as client:
        await client.post("/x")
    assert (len(lonely.asked), len(node.asked)) == (1, 1)


async def test_patience_ends(start):
    node = await start(NO_LEADER)
    async with client_of(node.url, patience_seconds=0.3) as client:
        with pytest.raises(errors.NoLeader, match="it is No leader"):
            await client.get("/x")


async def test_a_read_whose_answer_got_lost_is_repeated(start):
    node = await start("break", OK)
    async with client_of(node.url) as client:
        assert await client.get("/x") == {"fine": True}


async def test_a_change_whose_answer_got_lost_is_not_repeated(start):
    node = await start("break", OK)
    async with client_of(node.url) as client:
        with pytest.raises(errors.OutcomeUnknown, match="may or may not"):
            await client.post("/x")
    assert len(node.asked) == 1


async def test_a_change_that_is_harmless_to_repeat_is_repeated(start):
    node = await start("break", problem(504, "Outcome unknown", outcome="unknown"), OK)
    async with client_of(node.url) as client:
        assert await client.post("/x", {"idempotency_key": "k"}, repeatable=True) == {"fine": True}


async def test_a_change_without_a_known_outcome_is_told_as_that(start):
    node = await start(problem(504, "Outcome unknown", outcome="unknown"))
    async with client_of(node.url) as client:
        with pytest.raises(errors.OutcomeUnknown):
            await client.post("/x")
    assert len(node.asked) == 1


async def test_a_wait_outlasts_a_restart_of_the_only_node(dead_url):
    async def come_up_late():
        await asyncio.sleep(0.4)
        app = web.Application()
        app.router.add_get("/x", FakeNode(OK).handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", dead_url.port).start()
        return runner

    starting = asyncio.create_task(come_up_late())
    async with client_of(dead_url) as client:
        assert await client.get("/x", outlast_seconds=30) == {"fine": True}
    await (await starting).cleanup()


async def test_all_pages_of_a_list_are_read(start):
    pages = {"": (["a", "b"], "2"), "2": (["c"], None)}

    async def page(request):
        items, cursor = pages[request.query.get("cursor", "")]
        return web.json_response({"items": items, "next_cursor": cursor})

    node = await start(page)
    async with client_of(node.url) as client:
        assert await client.items("/x", {"q": "w o", "tag": None}) == ["a", "b", "c"]
        assert node.asked[0].query == {"q": "w o", "limit": "100"}


async def test_no_more_items_are_asked_for_than_wanted(start):
    async def page(request):
        return web.json_response({"items": ["x"] * int(request.query["limit"]), "next_cursor": "n"})

    node = await start(page)
    async with client_of(node.url) as client:
        assert len(await client.items("/x", at_most=130)) == 130
    assert [asked.query["limit"] for asked in node.asked] == ["100", "30"]


async def test_an_old_copy_is_remembered_as_such(start):
    async def stale(_):
        return web.json_response({}, headers={"Croncord-Stale": "12.5", "Croncord-Node": "n2"})

    node = await start(stale)
    async with client_of(node.url) as client:
        await client.get("/x")
        assert client.stale == ("n2", "12.5")


async def test_another_program_that_answers_is_not_mistaken_for_a_node(start):
    async def page(_):
        return web.Response(text="<html>hello</html>", content_type="text/html")

    node = await start(page)
    async with client_of(node.url) as client:
        with pytest.raises(errors.ConfigError, match="does not answer as a CronCord node"):
            await client.get("/x")


async def test_a_redirect_is_not_followed_with_the_token(start):
    other = await start(OK)

    async def elsewhere(_):
        raise web.HTTPFound(str(other.url))

    node = await start(elsewhere)
    async with client_of(node.url) as client:
        with pytest.raises(errors.ConfigError):
            await client.get("/x")
    assert other.asked == []


@pytest.mark.parametrize("name", ["a b", "ä/ö", "50%", "?q=1", "#", "..", "a&b", "日本"])
def test_any_name_arrives_as_one_part_of_the_path(name):
    path = target(URL("http://h:1"), path_of("jobs", name, "run"), None)
    assert len(path.raw_path.split("/")) == 6
    assert path.parts[-2:] == (name.replace("/", "/"), "run") or name == "ä/ö"


def trusting(authority):
    return ssl.create_default_context(cadata=authority.pem.decode())


@pytest.fixture
async def https(tmp_path):
    """Serve a fine answer with a certificate; returns the port."""

    async def fine(_request):
        return web.json_response(OK[1])

    app = web.Application()
    app.add_routes([web.get("/api/v1/cluster", fine)])
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(await listen(app, "127.0.0.1", port, node_tls(tmp_path)))
        yield port


async def ask(url, tls=None):
    connection = Connection(urls=(URL(url),), token=TOKEN, tls=tls)
    async with Client(connection) as client:
        return await client.get(path_of("cluster"))


async def test_a_node_whose_authority_is_trusted_answers(https):
    assert await ask(f"https://127.0.0.1:{https}", trusting(AUTHORITY)) == OK[1]


@pytest.mark.parametrize("tls", [None, trusting(STRANGER)])
async def test_a_certificate_of_an_unknown_authority_says_how_to_give_it(https, tls):
    with pytest.raises(errors.Unreachable, match="not signed by an authority") as caught:
        await ask(f"https://127.0.0.1:{https}", tls)
    assert "--ca FILE or CRONCORD_CA_FILE" in caught.value.hint


async def test_a_certificate_for_another_address_names_the_address(https):
    with pytest.raises(errors.Unreachable, match=r"0\.0\.0\.0") as caught:
        await ask(f"https://0.0.0.0:{https}", trusting(AUTHORITY))
    assert "address that the certificate names" in caught.value.hint


async def test_http_to_an_https_port_is_told_to_write_https(https):
    with pytest.raises(errors.Malformed, match="speaks HTTPS") as caught:
        await ask(f"http://127.0.0.1:{https}")
    assert "https://" in caught.value.hint


async def test_https_to_an_http_port_is_told_to_write_http(start):
    node = await start(OK)
    with pytest.raises(errors.Unreachable, match="TLS") as caught:
        await ask(str(node.url).replace("http:", "https:"))
    assert "http://" in caught.value.hint
