"""A writer is lost: the others agree on what they have of its output, and it comes back, or not."""

import asyncio
import hashlib
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest
from builders import Cluster, at
from log_material import NOMINAL, end, framed, numbered, out, text
from peer_server import Member, until

from croncord.clock import SystemClock
from croncord.errors import Conflict
from croncord.frames import decode_frames
from croncord.lifecycle import Reason, RunState
from croncord.logs.closing import OutputCloser
from croncord.logs.confirming import Confirming
from croncord.logs.copies import CopyKeeper
from croncord.logs.returning import Returning
from croncord.logs.tally import output_bytes
from croncord.ports import LogKey
from croncord.raft.commands import ConcludeRuns, Conclusion

LINES = numbered(3000)
INLINE = numbered(5)


class Agreed:
    """One agreed state that all nodes of a test see at once."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.state = cluster.state
        self._listeners = []

    def status(self):
        return SimpleNamespace(role="leader")

    def subscribe(self, listener):
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def propose(self, command):
        outcome = self.cluster.do(command)
        for listener in list(self._listeners):
            listener(0, command, outcome)
        return outcome

    # The ledger, as far as keeping copies needs it.

    def page(self, _where, *, limit, before=""):
        return [] if before else self.cluster.rows[:limit]

    def get(self, run_id):
        return self.state.run(run_id)


class Node(Member):
    """A member with everything that looks after outputs."""

    def __init__(self, name, root, addresses, agreed):
        super().__init__(name, root, addresses)
        self.agreed = agreed

    async def start(self):
        await super().start()
        common = {"name": self.name, "replica": self.agreed, "local": self.store.local}
        keeper = CopyKeeper(
            name=self.name,
            replica=self.agreed,
            ledger=self.agreed,
            follower=self.replicator,
            held=self.store.local,
        )
        self._stop_keeping = keeper.start()
        reach = {"peers": self.peers, "address_of": self._addresses.get, "clock": SystemClock()}
        self.closer = OutputCloser(**common, **reach)
        self.confirming = Confirming(**common, **reach)
        self.returning = Returning(
            **common, follower=self.replicator, clock=SystemClock(), take_up_seconds=0
        )
        return self

    async def stop(self):
        self._stop_keeping()
        await super().stop()


class Scene:
    """Three nodes and a run on one of them."""

    def __init__(self, root, stack, **job):
        self._stack = stack
        self.cluster = Cluster()
        self.agreed = Agreed(self.cluster)
        self.cluster.trigger(self.cluster.add_job(schedule="@manual", **job))
        self.cluster.decide()
        (self.run,) = self.cluster.claim_all()
        self.key = LogKey(self.run.id, 1)
        addresses = {}
        self.writer, self.one, self.two = (
            Node(name, root, addresses, self.agreed) for name in self.run.replicas
        )
        self.up = set()

    async def start(self, *nodes):
        for node in nodes:
            await node.start()
            self.up.add(node)
            self._stack.push_async_callback(self.stop, node)

    async def stop(self, node):
        if node in self.up:
            self.up.remove(node)
            await node.stop()

    async def write(self, data, at=None):
        if at is None:
            at = await self.writer.store.open(self.key, started_at=NOMINAL)
        return await self.writer.store.append(self.key, at, data)

    async def until_held(self, size, *nodes):
        await until(lambda: all(self.size(node) >= size for node in nodes))

    def size(self, node):
        status = node.store.status(self.key)
        return 0 if status is None else status.size

    async def lose(self):
        last = Conclusion(
            run_id=self.run.id, attempt=1, state=RunState.LOST, reason=Reason.NODE_DOWN
        )
        await self.agreed.propose(ConcludeRuns(at=at(70), term=1, conclusions=(last,)))
        self.cluster.now = at(71)

    @property
    def log(self):
        row = self.agreed.state.run(self.run.id)
        return row.log if row.attempt == 1 else row.attempts[0].log

    async def until_whole(self, *nodes):
        def is_whole(node):
            status = node.store.status(self.key)
            return status is not None and status.complete and status.info.sha256 == self.log.sha256

        await until(lambda: all(is_whole(node) for node in nodes))
        first, *others = [await framed(node.store, self.key) for node in nodes]
        for other in others:
            assert other == first


@asynccontextmanager
async def scene(root, **job):
    async with AsyncExitStack() as stack:
        made = Scene(root, stack, **job)
        await made.start(made.writer, made.one, made.two)
        yield made


def sha256(frames):
    return hashlib.sha256(output_bytes(decode_frames(frames)[0])).hexdigest()


@pytest.mark.parametrize("output", [LINES, INLINE, b""], ids=["long", "short", "none"])
async def test_when_the_writer_is_gone_the_others_agree_on_what_they_have(tmp_path, output):
    async with scene(tmp_path) as it:
        await it.write(output)
        await it.until_held(len(output), it.one, it.two)
        await it.stop(it.writer)
        await it.lose()
        await it.one.closer.close()
        assert it.log.recovered == "quorum"
        assert it.log.sha256 == sha256(output)
        assert not it.log.complete
        await it.until_whole(it.one, it.two)
        assert await framed(it.two.store, it.key) == output


async def test_the_longest_copy_counts_and_the_other_one_is_brought_to_it(tmp_path):
    async with scene(tmp_path) as it:
        await it.write(LINES)
        await it.until_held(len(LINES), it.one, it.two)
        await it.stop(it.two)
        at = await it.write(out("only one of them has this\n"), len(LINES))
        await it.until_held(at, it.one)
        await it.stop(it.writer)
        await it.start(it.two)
        await it.lose()
        await it.two.closer.close()
        assert it.log.bytes == it.one.store.status(it.key).info.bytes
        await it.until_whole(it.one, it.two)
        assert (await text(it.two.store, it.key)).endswith(b"only one of them has this\n")


async def test_a_writer_that_was_only_cut_off_cannot_make_a_closed_output_longer(tmp_path):
    async with scene(tmp_path) as it:
        at = await it.write(LINES)
        await it.until_held(at, it.one, it.two)
        await it.lose()
        await it.one.closer.close()
        agreed = it.log
        await it.write(out("I am still here\n"), at)
        await it.until_whole(it.one, it.two)
        await asyncio.sleep(0.1)
        assert it.log == agreed
        assert it.size(it.one) == it.size(it.two) == len(LINES)
        assert it.size(it.writer) > len(LINES)


async def test_a_fence_holds_after_a_restart_and_yields_to_repair_only(tmp_path):
    async with scene(tmp_path) as it:
        at = await it.write(LINES)
        await it.until_held(at, it.one)
        await it.one.store.fence(it.key)
        await it.stop(it.one)
        await it.write(out("more\n"), at)
        await it.start(it.one)
        with pytest.raises(Conflict):
            await it.one.store.local.begin(it.key)
        assert it.size(it.one) == len(LINES)
        assert await it.one.store.local.begin(it.key, repairs=True) == len(LINES)


async def test_a_process_that_writes_is_not_fenced_on_its_own_node(tmp_path):
    async with scene(tmp_path) as it:
        await it.write(LINES)
        with pytest.raises(Conflict):
            await it.one.peers.log_fence(it.one._addresses[it.writer.name], it.key)
        assert await it.write(out("goes on\n"), len(LINES)) > len(LINES)


async def test_with_too_few_copies_the_leader_waits_and_then_takes_what_there_is(tmp_path):
    async with scene(tmp_path) as it:
        await it.write(LINES)
        await it.until_held(len(LINES), it.one)
        await it.stop(it.writer)
        await it.stop(it.two)
        await it.lose()
        await it.one.closer.close()
        assert it.log.sha256 == ""
        it.one.closer._patience_seconds = 0
        await it.one.closer.close()
        assert it.log.recovered == "partial"
        await it.until_whole(it.one)


async def test_a_writer_that_comes_back_with_more_offers_it_and_all_have_it_then(tmp_path):
    async with scene(tmp_path) as it:
        await it.write(LINES)
        await it.until_held(len(LINES), it.one, it.two)
        await it.stop(it.one)
        await it.stop(it.two)
        rest = out("the last words\n") + end()
        await it.write(rest, len(LINES))
        await it.stop(it.writer)
        await it.start(it.one, it.two)
        await it.lose()
        await it.one.closer.close()
        assert it.log.sha256 == sha256(LINES)
        await it.until_whole(it.one, it.two)
        await it.start(it.writer)
        await it.writer.returning.settle()
        assert (it.log.sha256, it.log.complete) == (sha256(LINES + rest), True)
        await it.until_whole(it.writer, it.one, it.two)
        assert await framed(it.one.store, it.key) == LINES + rest


@pytest.mark.parametrize("kept", [0, 100, 2000], ids=["nothing", "a little", "much"])
async def test_a_writer_whose_disk_lost_the_end_gets_it_from_the_others(tmp_path, kept):
    async with scene(tmp_path) as it:
        at = await it.write(numbered(kept)) if kept else 0
        if kept:
            await it.until_held(at, it.one, it.two)
        # What the machine's disk did not keep is written by a stand-in for its earlier self.
        await it.stop(it.writer)
        for node in (it.one, it.two):
            await node.store.local.begin(it.key)
            await node.store.local.append(it.key, at, LINES[at:], may_drop=False)
        await it.lose()
        await it.one.closer.close()
        assert it.log.sha256 == sha256(LINES)
        await it.start(it.writer)
        await it.writer.returning.settle()
        assert it.log.recovered == "quorum"
        await it.until_whole(it.writer, it.one, it.two)


async def test_a_writer_that_comes_back_with_something_else_takes_what_was_agreed(tmp_path):
    async with scene(tmp_path) as it:
        await it.write(INLINE)
        await it.until_held(len(INLINE), it.one, it.two)
        await it.stop(it.writer)
        await it.lose()
        await it.one.closer.close()
        agreed = it.log
        await it.writer.start()
        await it.writer.store.delete([it.key])
        await it.write(numbered(6, width=30))
        await it.writer.store.close(it.key)
        it.up.add(it.writer)
        await it.writer.returning.settle()
        await it.until_whole(it.writer, it.one, it.two)
        assert it.log == agreed


async def test_what_a_writer_printed_after_another_attempt_took_over_is_cut_off(tmp_path):
    async with scene(tmp_path, delivery="at_least_once") as it:
        await it.write(LINES)
        await it.until_held(len(LINES), it.one, it.two)
        await it.lose()
        await it.one.closer.close()
        await it.write(out("too late\n"), len(LINES))
        await it.writer.store.close(it.key)
        agreed = it.log
        assert agreed.recovered == "quorum"
        await it.stop(it.writer)
        it.cluster.decide()
        it.cluster.finish(it.cluster.claim_all()[0])
        await it.start(it.writer)
        await it.writer.returning.settle()
        await it.until_whole(it.writer, it.one, it.two)
        assert it.log == agreed
        assert b"too late" not in await text(it.writer.store, it.key)


async def test_a_byte_is_confirmed_once_a_majority_has_it_on_disk(tmp_path):
    async with scene(tmp_path) as it:
        await it.write(LINES)
        printed = it.writer.store.status(it.key).info.bytes
        assert it.writer.confirming.unconfirmed_bytes() == printed
        await it.until_held(len(LINES), it.one)
        await it.stop(it.two)
        await it.one.store.local.flush()
        await it.writer.store.local.flush()
        await it.writer.confirming.ask()
        assert it.writer.confirming.unconfirmed_bytes() == 0
        await it.stop(it.one)
        await it.write(out("12345"), len(LINES))
        await it.writer.store.local.flush()
        await it.writer.confirming.ask()
        assert it.writer.confirming.unconfirmed_bytes() == printed + 5
