"""Notes on disk: what is acknowledged is there after a crash, whatever was torn."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croncord.errors import StoreError
from croncord.node import agent_journal
from croncord.node.agent_journal import FileJournal, Note
from croncord.ports import LogKey

A, B, C = LogKey("ra", 1), LogKey("rb", 2), LogKey("rc", 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "agent" / "notes"


def opened(path) -> FileJournal:
    journal = FileJournal(path)
    journal.open()
    return journal


def notes(journal):
    return {key: journal.note(key) for key in journal.keys()}  # noqa: SIM118  not a mapping


async def test_the_last_note_about_an_attempt_is_there_after_a_restart(path):
    journal = opened(path)
    await journal.write(Note.CLAIMING, [A, B, C])
    await journal.write(Note.STARTING, [B])
    await journal.forget([A, LogKey("unknown", 1)])
    await journal.write(Note.STARTING, [C])
    journal.close()
    again = opened(path)
    assert notes(again) == {B: Note.STARTING, C: Note.STARTING}
    assert again.note(A) is None
    again.close()


async def test_a_note_is_on_disk_when_it_is_acknowledged(path):
    journal = opened(path)
    await journal.write(Note.STARTING, [A])
    assert "starting ra 1\n" in path.read_text()
    journal.close()


async def test_notes_that_come_together_share_a_flush(path, monkeypatch):
    journal = opened(path)
    flushes = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (flushes.append(fd), real(fd)))
    keys = [LogKey(f"r{n}", 1) for n in range(50)]
    await asyncio.gather(*(journal.write(Note.CLAIMING, [key]) for key in keys))
    assert len(flushes) <= 2
    journal.close()
    again = opened(path)
    assert set(again.keys()) == set(keys)
    again.close()


async def test_a_file_that_grows_is_written_afresh_and_loses_nothing(path, monkeypatch):
    monkeypatch.setattr(agent_journal, "REWRITE_BYTES", 200)
    journal = opened(path)
    await journal.write(Note.STARTING, [A])
    for n in range(50):
        await journal.write(Note.CLAIMING, [LogKey(f"r{n}", 1)])
        await journal.forget([LogKey(f"r{n}", 1)])
    assert path.stat().st_size < 600
    journal.close()
    again = opened(path)
    assert again.note(A) is Note.STARTING
    again.close()


async def test_a_disk_that_refuses_is_told_and_the_note_is_not_taken_as_made(path, monkeypatch):
    journal = opened(path)
    await journal.write(Note.CLAIMING, [A])

    def refuse(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        results = await asyncio.gather(
            *(journal.write(Note.STARTING, [key]) for key in (A, B)), return_exceptions=True
        )
    assert [type(result) for result in results] == [StoreError, StoreError]
    assert notes(journal) == {A: Note.CLAIMING}
    await journal.write(Note.CLAIMING, [C])
    journal.close()
    again = opened(path)
    assert notes(again) == {A: Note.CLAIMING, C: Note.CLAIMING}
    again.close()


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(0, 80), garbage=st.binary(max_size=20))
def test_any_tear_or_garbage_at_the_end_costs_only_what_it_hits(tmp_path_factory, cut, garbage):
    path = tmp_path_factory.mktemp("torn") / "notes"
    whole = "claiming ra 1\nstarting ra 1\nclaiming rb 2\ndone rb 2\nclaiming rc 1\n"
    path.write_bytes(whole.encode()[:cut] + garbage)
    journal = opened(path)
    found = notes(journal)
    journal.close()
    if cut >= len("claiming ra 1\nstarting ra 1\n"):
        assert found[A] is Note.STARTING
