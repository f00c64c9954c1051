"""Outputs reach other nodes while they are written, over real HTTP, and nodes come and go."""

import asyncio
import random

import msgspec
import pytest
from log_material import NOMINAL, a_key, end, framed, numbered, out, sizes, text, write
from peer_server import members, until

from croncord.errors import NotFound, StoreError, Unreachable
from croncord.logs.keys import day_of, pack
from croncord.model import LogInfo

KEY = a_key()


def held(member):
    status = member.store.status(KEY)
    return 0 if status is None else status.size


async def test_a_copy_grows_with_the_output_and_is_sealed_with_it(tmp_path):
    async with members(tmp_path) as (n1, n2):
        at = await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        for n in range(5):
            at = await n1.store.append(KEY, at, out(f"line {n}\n", n))
            await until(lambda: held(n2) == at)  # noqa: B023 - called in this round only
        await n1.store.append(KEY, at, end())
        info = await n1.store.close(KEY)
        await until(lambda: KEY not in n2.replicator.wanted)
        assert n2.store.status(KEY).info == info
        assert n2.store.status(KEY).complete
        assert await framed(n2.store, KEY) == await framed(n1.store, KEY)


async def test_a_copy_can_be_followed_like_the_original(tmp_path):
    async with members(tmp_path) as (n1, n2):
        at = await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        at = await n1.store.append(KEY, at, out("first\n"))
        await until(lambda: held(n2) == at)
        reader = n2.store.read(KEY, holders=["n1", "n2"], follow=True)
        assert (await anext(reader)).data == b"first\n"
        at = await n1.store.append(KEY, at, out("second\n"))
        assert (await anext(reader)).data == b"second\n"
        await n1.store.close(KEY)
        assert [chunk async for chunk in reader] == []


async def test_both_nodes_restart_at_random_and_the_copy_is_equal_in_the_end(tmp_path):
    chance = random.Random(7)
    data = numbered(15000) + end()
    async with members(tmp_path) as (n1, n2):
        await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        for start, stop in sizes(len(data), len(data) // 12):
            await n1.store.append(KEY, start, data[start:stop])
            await asyncio.sleep(chance.random() * 0.02)
            restarted = chance.choice([None, n1, n2])
            if restarted is not None:
                await restarted.restart()
            if restarted is n1:
                at = await n1.store.open(KEY, started_at=NOMINAL)
                await n1.store.append(KEY, at, data[at:stop])
            if restarted is n2:
                assert data.startswith(await framed(n2.store, KEY))
                n2.replicator.want(KEY, ["n1", "n2"], None)
        info = await n1.store.close(KEY)
        await until(lambda: KEY not in n2.replicator.wanted)
        assert await framed(n2.store, KEY) == data
        assert n2.store.status(KEY).info == info


async def test_when_the_writer_dies_the_prefix_stays_readable_and_its_followers_are_told(tmp_path):
    async with members(tmp_path, 3) as (n1, n2, n3):
        at = await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        at = await n1.store.append(KEY, at, out("before\n"))
        await until(lambda: held(n2) == at)
        await n1.server.stop()
        assert await text(n2.store, KEY, holders=["n1", "n2"]) == b"before\n"
        assert await text(n3.store, KEY, holders=["n1", "n2"]) == b"before\n"
        follower = asyncio.create_task(text(n2.store, KEY, holders=["n1", "n2"], follow=True))
        remote = asyncio.create_task(text(n3.store, KEY, holders=["n1", "n2"], follow=True))
        await asyncio.sleep(0)
        # The run is lost: nothing was agreed about its output.
        n2.replicator.want(KEY, ["n1", "n2"], LogInfo())
        assert await follower == b"before\n"
        with pytest.raises(Unreachable):
            await remote
        status = n2.store.status(KEY)
        assert (status.size, status.complete) == (at, False)
        assert n2.replicator.wanted == frozenset()


async def test_a_lost_run_that_turns_out_to_have_finished_is_completed(tmp_path):
    async with members(tmp_path) as (n1, n2):
        at = await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        at = await n1.store.append(KEY, at, out("before\n"))
        await until(lambda: held(n2) == at)
        await n1.server.stop()
        n2.replicator.want(KEY, ["n1", "n2"], LogInfo())
        await until(lambda: n2.replicator.wanted == frozenset())
        await n1.restart()
        await n1.store.open(KEY, started_at=NOMINAL)
        await n1.store.append(KEY, at, out("after\n") + end())
        info = await n1.store.close(KEY)
        n2.replicator.want(KEY, ["n1", "n2"], info)
        await until(lambda: n2.replicator.wanted == frozenset())
        assert n2.store.status(KEY).info == info


async def test_a_finished_output_is_taken_from_any_node_that_has_it(tmp_path):
    async with members(tmp_path, 3) as (n1, n2, n3):
        info = await write(n1.store, KEY, numbered(8000), end())
        n2.replicator.want(KEY, ["n1", "n2", "n3"], info)
        await until(lambda: KEY not in n2.replicator.wanted)
        await n1.server.stop()
        n3.replicator.want(KEY, ["n1", "n2", "n3"], info)
        await until(lambda: KEY not in n3.replicator.wanted)
        assert n3.store.status(KEY).info == info
        assert await framed(n3.store, KEY) == numbered(8000) + end()


async def test_a_copy_that_is_there_is_not_asked_for_again(tmp_path):
    async with members(tmp_path) as (n1, n2):
        info = await write(n1.store, KEY, numbered(10), end())
        n2.replicator.want(KEY, ["n1", "n2"], info)
        await until(lambda: KEY not in n2.replicator.wanted)
        asked = len(n1.server.asked)
        n2.replicator.want(KEY, ["n1", "n2"], info)
        n1.replicator.want(KEY, ["n1", "n2"], info)
        await until(lambda: not (n1.replicator.wanted | n2.replicator.wanted))
        assert len(n1.server.asked) == asked


async def test_a_copy_that_went_another_way_is_replaced_once_the_right_one_is_found(tmp_path):
    async with members(tmp_path) as (n1, n2):
        info = await write(n1.store, KEY, out("right\n"), end())
        await write(n2.store, KEY, out("wrong\n"), out("and longer\n"), end())
        elsewhere = msgspec.structs.replace(info, sha256="0" * 64)
        n2.replicator.want(KEY, ["n1", "n2"], elsewhere)
        await until(lambda: n1.server.asked)
        assert (await text(n2.store, KEY)).startswith(b"wrong")
        n2.replicator.want(KEY, ["n1", "n2"], info)
        await until(lambda: KEY not in n2.replicator.wanted)
        assert await text(n2.store, KEY) == b"right\n"


async def test_what_is_dropped_stays_and_can_be_wanted_again(tmp_path):
    async with members(tmp_path) as (n1, n2):
        at = await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        at = await n1.store.append(KEY, at, out("one\n"))
        await until(lambda: held(n2) == at)
        n2.replicator.drop(KEY)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        at = await n1.store.append(KEY, at, out("two\n"))
        await until(lambda: held(n2) == at)
        n2.replicator.drop(KEY)
        at = await n1.store.append(KEY, at, out("three\n"))
        await n2.replicator.stop()
        assert await framed(n2.store, KEY) == out("one\n") + out("two\n")


async def test_the_node_that_writes_does_not_copy_from_others(tmp_path):
    async with members(tmp_path) as (n1, n2):
        await write(n1.store, KEY, out("mine\n"), seal=False)
        n1.replicator.want(KEY, ["n1", "n2"], None)
        assert n1.replicator.wanted == frozenset()
        assert n2.server.asked == []


async def test_many_outputs_at_once_all_arrive(tmp_path):
    keys = [a_key(f"job {n}") for n in range(60)]
    async with members(tmp_path) as (n1, n2):
        infos = []
        for key in keys:
            await n1.store.open(key, started_at=NOMINAL)
            n2.replicator.want(key, ["n1", "n2"], None)
        for key in keys:
            await n1.store.append(key, 0, numbered(50) + end())
        for key in keys:
            infos.append(await n1.store.close(key))
            n2.replicator.want(key, ["n1", "n2"], infos[-1])
        await until(lambda: not n2.replicator.wanted)
        assert [n2.store.status(key).info for key in keys] == infos


async def test_any_node_reads_what_another_holds(tmp_path):
    async with members(tmp_path, 3) as (n1, _, n3):
        await write(n1.store, KEY, numbered(6000), end())
        whole = await text(n1.store, KEY)
        assert await text(n3.store, KEY, holders=["n2", "n1"]) == whole
        offset = await n3.store.tail_offset(KEY, 5, holders=["n2", "n1"])
        assert await text(n3.store, KEY, holders=["n1"], offset=offset) == whole[-5 * 46 :]
        assert await text(n3.store, KEY, holders=["n1"], offset=offset, stream="stderr") == b""
        with pytest.raises(NotFound):
            await text(n3.store, KEY, holders=["n2", "n3", "unknown"])
        with pytest.raises(NotFound):
            await n3.store.tail_offset(KEY, 5, holders=["n2"])
        await n1.server.stop()
        with pytest.raises(Unreachable):
            await text(n3.store, KEY, holders=["n1", "n2"])


async def test_a_reader_elsewhere_follows_and_goes_on_with_another_node_when_one_dies(tmp_path):
    async with members(tmp_path, 3) as (n1, n2, n3):
        at = await n1.store.open(KEY, started_at=NOMINAL)
        n2.replicator.want(KEY, ["n1", "n2"], None)
        at = await n1.store.append(KEY, at, out("one\n"))
        await until(lambda: held(n2) == at)
        reader = n3.store.read(KEY, holders=["n1", "n2"], follow=True)
        assert (await anext(reader)).data == b"one\n"
        await n1.server.stop()
        # The writer goes on; the copy is fed by hand because its source cannot be reached.
        await n2.store.append(KEY, at, out("two\n"))
        assert (await anext(reader)).data == b"two\n"
        n2.replicator.drop(KEY)
        await n2.store.close(KEY)
        assert [chunk async for chunk in reader] == []


async def test_a_damaged_copy_is_not_shown_while_another_node_has_a_sound_one(tmp_path):
    async with members(tmp_path) as (n1, n2):
        for member in (n1, n2):
            await write(member.store, KEY, numbered(9000), end())
        whole = await text(n1.store, KEY)
        with n2.store.local._disk.days.created(day_of(pack(KEY))) as day, day.write() as writing:
            key, value = list(writing.from_key("blocks", b""))[1]
            writing.put("blocks", key, value[:-9] + bytes([value[-9] ^ 1]) + value[-8:])
        with pytest.raises(StoreError):
            await text(n2.store, KEY)
        assert await text(n2.store, KEY, holders=["n1", "n2"]) == whole


async def test_a_copy_that_lacks_only_the_end_frame_is_not_taken_for_whole(tmp_path):
    async with members(tmp_path, 3) as (n1, n2, n3):
        info = await write(n1.store, KEY, out("all of it\n"), end())
        await write(n2.store, KEY, out("all of it\n"), seal=False)
        n3.replicator.want(KEY, ["n2", "n1", "n3"], info)
        await until(lambda: KEY not in n3.replicator.wanted)
        assert n3.store.status(KEY).info == info
        assert await framed(n3.store, KEY) == await framed(n1.store, KEY)


async def test_while_a_finished_output_is_being_copied_readers_get_the_whole_from_elsewhere(
    tmp_path,
):
    async with members(tmp_path, 3) as (n1, n2, n3):
        info = await write(n1.store, KEY, numbered(100), end())
        whole = await text(n1.store, KEY)
        await write(n2.store, KEY, numbered(10), seal=False)
        nowhere = msgspec.structs.replace(info, sha256="1" * 64)
        n2.replicator.want(KEY, ["n3", "n2"], nowhere)
        await until(lambda: n3.server.asked)
        assert await text(n2.store, KEY, holders=["n1", "n2"]) == whole
        assert await text(n2.store, KEY, holders=["n3"]) == whole[: 10 * 46]
        assert await text(n2.store, KEY, holders=["n3"], follow=True) == whole[: 10 * 46]


async def test_a_change_of_mind_reaches_a_copy_that_follows_a_silent_writer(tmp_path):
    async with members(tmp_path, 3) as (n1, n2, n3):
        await write(n1.store, KEY, out("never sealed\n"), seal=False)
        info = await write(n3.store, KEY, out("never sealed\n"), out("more\n"), end())
        n2.replicator.want(KEY, ["n1", "n2", "n3"], None)
        await until(lambda: held(n2))
        n2.replicator.want(KEY, ["n1", "n2", "n3"], info)
        await until(lambda: KEY not in n2.replicator.wanted)
        assert n2.store.status(KEY).info == info


async def test_a_copy_that_got_nothing_yet_is_not_served_as_an_empty_output(tmp_path):
    async with members(tmp_path, 3) as (n1, n2, n3):
        await write(n3.store, KEY, numbered(100), end())
        n2.replicator.want(KEY, ["n1", "n2"], None)
        await until(lambda: n1.server.asked)
        assert await text(n2.store, KEY, holders=["n1", "n3"]) == await text(n3.store, KEY)
