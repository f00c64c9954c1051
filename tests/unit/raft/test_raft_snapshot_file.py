"""Snapshots on disk: complete and checked, or refused."""

import hashlib

import pytest

from croncord.errors import StoreError
from croncord.raft.snapshotfile import SnapshotFiles, read_snapshot, write_snapshot
from croncord.raft.snapshotport import SnapshotMeta

META = SnapshotMeta(index=7, term=2, previous_term=1, members={"ada": "127.0.0.1:1"})
STATE = b"state " * 10_000


def store(path):
    path.mkdir(exist_ok=True)
    return SnapshotFiles(path, b"".join)


def written(path, meta=META, state=STATE):
    files = store(path)
    files.write(meta, lambda: [state[:1000], state[1000:]])
    while files.poll_written() is None:
        pass
    return files


def send(reader, receiver, chunk=1000, start=0):
    offset = start
    while offset < reader.size and not receiver.is_verifying:
        offset = receiver.receive(
            reader.index, reader.digest, reader.size, offset, reader.read(offset, chunk)
        )
    return offset


def received(files):
    while files.is_verifying:
        result = files.poll_received()
        if result is not None:
            return result
    return None


def test_a_snapshot_is_read_back(tmp_path):
    written(tmp_path / "a").close()
    assert store(tmp_path / "a").load() == (META, STATE)


def test_s11_every_kind_of_damage_is_noticed(tmp_path):
    path = tmp_path / "snapshot"
    write_snapshot(path, META, [STATE])
    good = path.read_bytes()
    damaged = [good[:-1], good[: len(good) // 2], good + b"x", b"", good[:10]]
    damaged += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 7)]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(StoreError) as report:
            read_snapshot(path, b"".join)
        assert "copies everything from the others" in report.value.hint


def test_without_its_digest_damage_would_go_unnoticed(tmp_path, monkeypatch):
    class Constant:
        def update(self, data):
            pass

        def digest(self):
            return bytes(32)

    monkeypatch.setattr(hashlib, "sha256", Constant)
    path = tmp_path / "snapshot"
    write_snapshot(path, META, [STATE])
    path.write_bytes(path.read_bytes().replace(b"ada", b"eve"))
    assert set(read_snapshot(path, b"".join)[0].members) == {"eve"}


def test_a_failed_write_leaves_the_older_snapshot(tmp_path):
    files = written(tmp_path / "a")

    def fails():
        raise OSError("no space left on device")

    files.write(META, fails)
    while files.is_writing:
        files.poll_written()
    files.close()
    assert store(tmp_path / "a").load() == (META, STATE)


def test_a_transfer_arrives_and_replaces_only_when_published(tmp_path):
    source, target = written(tmp_path / "a"), store(tmp_path / "b")
    reader = source.open_reader()
    send(reader, target)
    assert received(target) == (META, STATE)
    assert target.load() is None or (tmp_path / "b" / "snapshot").exists() is False
    reader.close()


def test_a_published_transfer_is_the_newest_snapshot(tmp_path):
    source, target = written(tmp_path / "a"), store(tmp_path / "b")
    with_reader = source.open_reader()
    send(with_reader, target)
    assert received(target) == (META, STATE)
    target.publish_received()
    again = target.open_reader()
    assert (again.index, again.digest) == (with_reader.index, with_reader.digest)
    for reader in (again, with_reader):
        reader.close()
    assert store(tmp_path / "b").load() == (META, STATE)


def test_a_transfer_resumes_where_it_was(tmp_path):
    source, target = written(tmp_path / "a"), store(tmp_path / "b")
    reader = source.open_reader()
    part = reader.read(0, 100)
    assert target.receive(reader.index, reader.digest, reader.size, 0, part) == 100
    assert target.receive(reader.index, reader.digest, reader.size, 50, part) == 100
    send(reader, target, chunk=100, start=100)
    assert received(target) == (META, STATE)
    reader.close()


def test_damage_on_the_way_is_noticed_and_the_transfer_starts_again(tmp_path):
    source, target = written(tmp_path / "a"), store(tmp_path / "b")
    reader = source.open_reader()
    bad = bytearray(reader.read(0, reader.size))
    bad[40] ^= 1
    target.receive(reader.index, reader.digest, reader.size, 0, bytes(bad))
    assert received(target) is None
    send(reader, target)
    assert received(target) == (META, STATE)
    reader.close()


def test_a_reader_survives_a_newer_snapshot(tmp_path):
    files = written(tmp_path / "a")
    reader = files.open_reader()
    newer = SnapshotMeta(index=9, term=2, previous_term=2, members={})
    files.write(newer, lambda: [b"newer"])
    while files.poll_written() is None:
        pass
    target = store(tmp_path / "b")
    send(reader, target)
    assert received(target) == (META, STATE)
    reader.close()


def test_leftovers_of_a_crash_are_removed(tmp_path):
    files = written(tmp_path / "a")
    files.close()
    (tmp_path / "a" / "snapshot.new").write_bytes(b"half")
    (tmp_path / "a" / "snapshot.incoming").write_bytes(b"half")
    assert store(tmp_path / "a").load() == (META, STATE)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["snapshot"]
