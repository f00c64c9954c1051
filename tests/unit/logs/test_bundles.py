"""Many small outputs are copied in one call, and what cannot be is copied by itself."""

from log_material import NOMINAL, a_key, end, framed, numbered, out, write
from peer_server import members, until

from croncord.errors import NotFound

KEYS = [a_key(f"job-{n}") for n in range(30)]
WHOLE, HELD = ("POST", "/internal/v1/logs/whole"), ("POST", "/internal/v1/logs/held")


async def small_outputs(node, keys=KEYS):
    return {key: await write(node.store, key, out(f"{key.run_id}\n"), end()) for key in keys}


async def test_runs_that_end_together_are_copied_in_one_call(tmp_path):
    async with members(tmp_path) as (n1, n2):
        infos = await small_outputs(n1)
        for key, info in infos.items():
            n2.replicator.want(key, ["n1", "n2"], info)
        assert n2.replicator.wanted == set(KEYS)
        await until(lambda: not n2.replicator.wanted)
        assert n1.server.asked == [WHOLE]
        await n2.restart()
        for key, info in infos.items():
            assert n2.store.status(key).info == info, "it was durable when it stopped being wanted"
            assert await framed(n2.store, key) == await framed(n1.store, key)


async def test_a_long_output_among_them_is_copied_by_itself(tmp_path):
    long = a_key("long")
    async with members(tmp_path) as (n1, n2):
        infos = await small_outputs(n1)
        infos[long] = await write(n1.store, long, numbered(500), end())
        for key, info in infos.items():
            n2.replicator.want(key, ["n1", "n2"], info)
        await until(lambda: not n2.replicator.wanted)
        assert await framed(n2.store, long) == numbered(500) + end()
        assert len(n1.server.asked) == 2


async def test_a_node_of_an_older_release_is_asked_for_each(tmp_path):
    async def unknown(_address, _keys):
        raise NotFound("there is no such call")

    async with members(tmp_path) as (n1, n2):
        n2.peers.logs_whole = n2.peers.logs_held = unknown
        infos = await small_outputs(n1)
        n2.replicator.want(KEYS[0], ["n1", "n2"], None)
        for key, info in infos.items():
            n2.replicator.want(key, ["n1", "n2"], info)
        await until(lambda: not n2.replicator.wanted)
        assert all(n2.store.status(key).info == infos[key] for key in KEYS)


async def test_what_does_not_have_the_agreed_digest_is_not_kept(tmp_path):
    key = KEYS[0]
    async with members(tmp_path) as (n1, n2):
        info = await write(n1.store, key, out("a\n"), out("b\n"), end())
        for other in (out("b\n") + end(), out("a\n") + end(), out("a\n") + out("b\n"), b""):
            assert await n2.store.local.take_whole({key: (other, info)}) == set()
            assert n2.store.status(key) is None


async def test_a_copy_that_has_begun_is_not_replaced(tmp_path):
    key = KEYS[0]
    async with members(tmp_path) as (n1, n2):
        info = await write(n1.store, key, out("a\n"), end())
        await write(n2.store, key, out("a\n"), seal=False)
        assert await n2.store.local.take_whole({key: (out("a\n") + end(), info)}) == set()
        n2.replicator.want(key, ["n1", "n2"], info)
        await until(lambda: not n2.replicator.wanted)
        assert n2.store.status(key).info == info


async def test_what_another_node_does_not_hold_comes_once_it_does(tmp_path):
    late = a_key("late")
    async with members(tmp_path) as (n1, n2):
        info = await write(n2.store, late, out("a\n"), end())
        await n2.store.delete([late])
        n2.replicator.want(late, ["n1", "n2"], info)
        await until(lambda: WHOLE in n1.server.asked)
        await write(n1.store, late, out("a\n"), end())
        await until(lambda: not n2.replicator.wanted)
        assert n2.store.status(late).info == info


async def test_runs_that_have_not_begun_are_asked_for_in_one_call(tmp_path):
    async with members(tmp_path) as (n1, n2):
        for key in KEYS:
            n2.replicator.want(key, ["n1", "n2"], None)
        await until(lambda: n1.server.asked)
        assert set(n1.server.asked) == {HELD}
        at = await n1.store.open(KEYS[0], started_at=NOMINAL)
        await n1.store.append(KEYS[0], at, out("a\n"))
        await until(lambda: n2.store.status(KEYS[0]) is not None)
        assert all(KEYS[0].run_id in path for _, path in n1.server.asked if path != HELD[1])
        infos = await small_outputs(n1, KEYS[1:])
        for key, info in infos.items():
            n2.replicator.want(key, ["n1", "n2"], info)
        await until(lambda: n2.replicator.wanted == {KEYS[0]})


async def test_a_run_is_not_asked_for_before_its_time_unless_it_ended(tmp_path):
    async with members(tmp_path) as (n1, n2):
        n2.replicator.want(KEYS[0], ["n1", "n2"], None, starts_in_seconds=3600)
        infos = await small_outputs(n1, KEYS[:1])
        n2.replicator.want(KEYS[0], ["n1", "n2"], infos[KEYS[0]])
        await until(lambda: not n2.replicator.wanted)
        assert n1.server.asked == [WHOLE]


async def test_what_is_dropped_is_not_asked_for(tmp_path):
    async with members(tmp_path) as (n1, n2):
        infos = await small_outputs(n1, KEYS[:2])
        n2.replicator.want(KEYS[0], ["n1", "n2"], infos[KEYS[0]])
        n2.replicator.want(KEYS[1], ["n1", "n2"], None)
        n2.replicator.drop(KEYS[0])
        n2.replicator.drop(KEYS[1])
        assert n2.replicator.wanted == set()
        assert n2.store.status(KEYS[0]) is None


async def test_in_a_burst_only_what_prints_and_goes_on_is_followed(tmp_path):
    silent, loud, *ended = KEYS
    async with members(tmp_path) as (n1, n2):
        await n1.store.open(silent, started_at=NOMINAL)
        at = await n1.store.open(loud, started_at=NOMINAL)
        await n1.store.append(loud, at, out("working\n"))
        infos = await small_outputs(n1, ended)
        for key in KEYS:
            n2.replicator.want(key, ["n1", "n2"], None)
        # It is opened here a moment before it is asked for there.
        await until(lambda: n2.store.status(loud) is not None and set(n1.server.asked) > {HELD})
        followed = {path for _, path in n1.server.asked if path != HELD[1]}
        assert followed == {f"/internal/v1/logs/{loud.run_id}/1?offset=0&follow=1"}
        for key, info in infos.items():
            n2.replicator.want(key, ["n1", "n2"], info)
        await until(lambda: n2.replicator.wanted == {silent, loud})
        assert WHOLE in n1.server.asked
        # The burst is over: what is left is followed, though it is silent.
        await until(lambda: n2.store.status(silent) is not None)
