import asyncio
import threading

import pytest
from aiohttp import web
from desks import ADMIN_TOKEN, Office

from croncord.__main__ import main
from croncord.web.app import create_app


class Backstage:
    """A real node's API in a thread of its own, and ways to move its runs on."""

    def __init__(self, path):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.office = self.do(Office.open(path))
        self.port = 0
        self.open_doors()

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def start(self, coroutine):
        """Let something happen beside the command that runs now."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def open_doors(self):
        self.do(self.open_doors_here())

    async def open_doors_here(self):
        # A test that shuts the door must not wait for those who read output.
        self._runner = web.AppRunner(create_app(self.office.desk), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def shut_doors_here(self):
        await self._runner.cleanup()

    def close(self):
        self.do(self.shut_doors_here())
        self.do(self.office.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self):
        return self.office.replica.state

    def job(self, name):
        return self.state.job_named(name).spec


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node that the command line finds, with its admin token, without being told."""
    node = Backstage(tmp_path / "node")
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "admin.token").write_text(ADMIN_TOKEN + "\n")
    monkeypatch.setenv("CRONCORD_DATA_DIR", str(data_dir))
    monkeypatch.setenv("CRONCORD_URL", node.url)
    for name in ("CRONCORD_TOKEN", "CRONCORD_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield node
    node.close()


@pytest.fixture
def croncord(node, capfdbinary):
    """Run a command; returns its exit status, what it printed, and what it said beside."""

    def run(*arguments):
        capfdbinary.readouterr()
        try:
            status = main(list(arguments))
        except SystemExit as end:
            status = end.code
        out, err = capfdbinary.readouterr()
        return status, out.decode(errors="backslashreplace"), err.decode()

    return run
