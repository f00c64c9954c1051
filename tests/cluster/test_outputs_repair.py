"""Copies of an output that are flipped, cut short or deleted on a real node's disk come back."""

import asyncio
import hashlib
import json
import shutil

import lmdb
import pytest
from fleet import wait_for

from croncord.logs.days import BLOCKS
from croncord.logs.keys import BLOCK_KEY_BYTES
from croncord.logs.log_store import LogStore
from croncord.ports import LogKey

pytestmark = pytest.mark.cluster

LOUD = "for i in $(seq 60000); do echo line $i $RANDOM$RANDOM; done\n"
TINY = "echo small\n"


def finished(fleet, name, script):
    fleet["n1"].post("/api/v1/jobs", {"name": name, "script": script, "schedule": "@manual"})
    run = fleet["n1"].post(f"/api/v1/jobs/{name}/run", {})
    run = fleet.wait_run(run["id"])
    wait_for(lambda: len(copies(fleet["n1"], run["id"])) == 3, 20, "three copies")
    return run


def copies(node, run_id):
    return node.get(f"/api/v1/runs/{run_id}")["log"]["copies"]


def day_file(node):
    (path,) = node.data_dir.glob("logs/blocks-*/data.mdb")
    return path


def overwrite(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def block_starts(path):
    """The first piece of each block the file holds now, as LMDB gives it.

    A search of the file itself would also find pieces in pages that are free again.
    """
    with (
        lmdb.open(str(path.parent), max_dbs=8, readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        blocks = environment.open_db(BLOCKS.encode(), transaction, create=False)
        return [value for key, value in transaction.cursor(blocks) if len(key) == BLOCK_KEY_BYTES]


def flip(path, *, blocks=1, after=0):
    """Flip a byte in the middle of some of the compressed blocks of a file, wherever they lie."""
    found = [value for value in block_starts(path) if len(value) > 200]
    assert len(found) >= after + blocks
    for value in found[after : after + blocks]:
        data = path.read_bytes()
        at = data.find(value)
        assert at >= 0
        while at >= 0:
            overwrite(path, at + 150, bytes([value[150] ^ 0x40]))
            at = data.find(value, at + 1)


def cut_short(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size // 2 // 4096 * 4096)


def garble(path):
    """Overwrite a page in the middle of every 16, keys and all."""
    for at in range(2 * 4096, path.stat().st_size, 16 * 4096):
        overwrite(path, at, b"\xa5" * 4096)


def wipe(path):
    shutil.rmtree(path.parent)


def read_from_disk(node, run_id):
    """What the node holds itself, read without it."""

    async def read():
        store = await LogStore.start(node.data_dir / "logs")
        try:
            return b"".join([chunk.data async for chunk in store.read(LogKey(run_id, 1))])
        finally:
            await store.stop()

    return asyncio.run(read())


def assert_whole_on_disk(fleet, node, run):
    assert node.stop() == 0
    data = read_from_disk(node, run["id"])
    assert hashlib.sha256(data).hexdigest() == run["log"]["sha256"]
    node.start()
    fleet.wait_ready()


@pytest.mark.parametrize("harm", [flip, cut_short, garble, wipe])
@pytest.mark.parametrize("is_running", [False, True], ids=["stopped", "running"])
def test_a_copy_harmed_on_disk_is_noticed_and_repaired(own_fleet, harm, is_running):
    fleet = own_fleet
    run = finished(fleet, f"loud-{harm.__name__}-{is_running}", LOUD)
    node = fleet[run["node"]]
    if not is_running:
        node.stop()
    said_before = len(node.log.read_text())
    harm(day_file(node))
    if is_running and harm is not garble:
        # Reading notices it, and the reader gets the output from another node all the same.
        body = node.call("GET", f"/api/v1/runs/{run['id']}/log").body
        assert hashlib.sha256(body).hexdigest() == run["log"]["sha256"]
    elif is_running:
        node.kill()
        node.start()
    else:
        node.start()
    fleet.wait_ready()
    other = next(each for each in fleet.nodes if each is not node)
    said = f"{run['id']}', attempt=1) is damaged"
    wait_for(lambda: said in node.log.read_text()[said_before:], 90, "it to be noticed")
    wait_for(lambda: len(copies(other, run["id"])) == 3, 90, "the copy to be repaired")
    assert_whole_on_disk(fleet, node, run)


def test_a_node_whose_disk_was_wiped_gets_its_copies_back(own_fleet):
    fleet = own_fleet
    runs = [finished(fleet, "loud", LOUD), finished(fleet, "tiny", TINY)]
    node = fleet[runs[0]["node"]]
    node.stop()
    shutil.rmtree(node.data_dir / "logs")
    shutil.rmtree(node.data_dir / "ledger")
    node.start()
    fleet.wait_ready()
    for run in runs:
        wait_for(lambda run=run: len(copies(node, run["id"])) == 3, 30, "three copies again")
    for run in runs:
        assert_whole_on_disk(fleet, node, run)


def events(node, run_id):
    answer = node.call("GET", f"/api/v1/runs/{run_id}/log", Accept="text/event-stream")
    found = []
    for block in answer.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((fields.get("event"), json.loads(fields["data"])))
    return found


def test_with_no_sound_copy_left_the_gap_is_said_and_the_rest_is_shown(own_fleet):
    fleet = own_fleet
    run = finished(fleet, "loud", LOUD)
    for node in fleet.nodes:
        node.stop()
        flip(day_file(node), blocks=2, after=2)
    for node in fleet.nodes:
        node.start()
    fleet.wait_ready()
    wait_for(lambda: copies(fleet["n1"], run["id"]) == [], 40, "the damage to be noticed")
    for node in fleet.nodes:
        told = events(node, run["id"])
        text = "".join(data.get("text", "") for kind, data in told if kind == "output")
        assert 10_000 < text.count("line ") < 60_000
        gaps = [data["text"] for _, data in told if data.get("stream") == "system"]
        assert 1 <= len(gaps) <= 2
        assert all("cannot be read" in gap for gap in gaps)
        assert told[-1][0] == "problem"
        assert "damaged" in told[-1][1]["detail"]
