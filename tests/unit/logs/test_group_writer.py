"""Group commit: nothing is lost, reordered or kept waiting for ever."""

import asyncio

import pytest

from croncord.errors import StoreError
from croncord.logs.writer import GroupWriter


class Notebook:
    """Something to write into that fails when told to."""

    def __init__(self):
        self.waiting = []
        self.pages = []
        self.settled = []
        self.refusals = 0
        self.defect = None
        self.attempts = 0
        self.writer = GroupWriter(
            "notebook",
            collect=self.collect,
            commit=self.commit,
            settle=self.settled.append,
            retry_seconds=0.001,
        )

    def note(self, word):
        self.waiting.append(word)
        self.writer.kick()

    def collect(self):
        batch, self.waiting = self.waiting, []
        return batch or None

    def commit(self, batch):
        self.attempts += 1
        if self.defect is not None:
            raise self.defect
        if self.refusals:
            self.refusals -= 1
            raise StoreError("full")
        self.pages.append(batch)


@pytest.fixture
async def notebook():
    made = Notebook()
    yield made
    await made.writer.close()


async def test_what_comes_within_a_window_is_written_together(notebook):
    for word in "abc":
        notebook.note(word)
    await notebook.writer.flush()
    assert notebook.pages == notebook.settled == [["a", "b", "c"]]


async def test_a_flush_with_nothing_to_write_returns(notebook):
    await notebook.writer.flush()
    assert notebook.attempts == 0


async def test_what_is_not_flushed_is_written_all_the_same(notebook):
    notebook.note("a")
    async with asyncio.timeout(20):
        while not notebook.settled:
            await asyncio.sleep(0.005)


async def test_what_the_disk_refuses_is_tried_again_before_anything_else(notebook):
    notebook.refusals = 3
    notebook.note("a")
    flushed = asyncio.create_task(notebook.writer.flush())
    async with asyncio.timeout(20):
        while notebook.writer.failure is None:
            await asyncio.sleep(0)
    notebook.note("b")
    await flushed
    await notebook.writer.flush()
    assert notebook.pages == [["a"], ["b"]]
    assert notebook.attempts == 5
    assert notebook.writer.failure is None


async def test_closing_writes_what_waits(notebook):
    notebook.note("a")
    await notebook.writer.close()
    assert notebook.pages == [["a"]]
    with pytest.raises(StoreError, match="stopped"):
        await notebook.writer.flush()


async def test_closing_while_the_disk_refuses_gives_up_and_tells_who_waits(notebook):
    notebook.refusals = 10**9
    notebook.note("a")
    flushed = asyncio.create_task(notebook.writer.flush())
    async with asyncio.timeout(20):
        while notebook.writer.failure is None:
            await asyncio.sleep(0)
        await notebook.writer.close()
    with pytest.raises(StoreError, match="full"):
        await flushed


async def test_a_defect_is_told_to_who_waits_and_does_not_hang(notebook, caplog):
    notebook.defect = ZeroDivisionError("a defect")
    notebook.note("a")
    with pytest.raises(StoreError, match="a defect"):
        await notebook.writer.flush()
    assert notebook.writer.failure is not None
    assert "ZeroDivisionError" in caplog.text
