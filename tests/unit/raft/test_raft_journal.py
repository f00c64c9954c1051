"""The journal on a real disk: what was synced is there, whole, or the node says that it is not."""

import shutil
import zlib

import lmdb
import pytest

from croncord.errors import StoreError
from croncord.raft.journal import LmdbJournal


def entries(count, start=1, term=1, mark=b"entry"):
    return [(mark + b" %d" % i, i, term) for i in range(start, start + count)]


def filled(path, count=10):
    journal = LmdbJournal(path)
    for entry in entries(count):
        journal.add(*entry)
    journal.sync()
    return journal


def copy_of(path):
    """The directory as a crash at this moment would leave it."""
    target = path.with_name("after-crash")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path, target)
    return target


def rewrite(path, change):
    """Change stored bytes behind the journal's back."""
    env = lmdb.open(str(path), max_dbs=2)
    try:
        with env.begin(write=True) as transaction:
            change(transaction, env.open_db(b"entries", txn=transaction))
    finally:
        env.close()


def test_what_was_synced_is_read_back(tmp_path):
    journal = filled(tmp_path / "j")
    journal.setCurrentTerm(3, "bob")
    journal.setRaftCommitIndex(7)
    journal.found()
    journal.close()
    again = LmdbJournal(tmp_path / "j")
    assert again.entries == entries(10)
    assert (again.term, again.vote, again.commit, again.founded) == (3, "bob", 7, True)
    again.close()


def test_a_vote_is_durable_when_setting_it_returns(tmp_path):
    journal = filled(tmp_path / "j")
    journal.setCurrentTerm(9, "cyd")
    after = LmdbJournal(copy_of(tmp_path / "j"))
    assert (after.term, after.vote) == (9, "cyd")
    after.close()
    journal.close()


def test_what_was_not_synced_is_lost_whole(tmp_path):
    journal = filled(tmp_path / "j")
    journal.add(b"unsynced", 11, 1)
    after = LmdbJournal(copy_of(tmp_path / "j"))
    assert after.last_index == 10
    after.close()
    journal.close()


@pytest.mark.parametrize("cut", [0, 3, 9])
def test_s13_a_crash_amid_a_truncation_leaves_the_old_entries(tmp_path, monkeypatch, cut):
    journal = filled(tmp_path / "j")
    journal.deleteEntriesFrom(cut)
    for entry in entries(3, start=cut + 1, term=2, mark=b"new"):
        journal.add(*entry)
    before = LmdbJournal(copy_of(tmp_path / "j"))
    assert before.entries == entries(10)
    before.close()
    monkeypatch.setattr(LmdbJournal, "_packed_meta", lambda _self: 1 / 0)
    journal.store_meta()
    with pytest.raises(ZeroDivisionError):
        journal.sync()  # dies after the entries were put, before the transaction is complete
    half = LmdbJournal(copy_of(tmp_path / "j"))
    assert half.entries == entries(10)
    half.close()
    with pytest.raises(ZeroDivisionError):
        journal.sync()
    journal.close()


def test_a_truncation_and_what_replaces_it_appear_together(tmp_path):
    journal = filled(tmp_path / "j")
    journal.deleteEntriesFrom(4)
    for entry in entries(2, start=5, term=2, mark=b"new"):
        journal.add(*entry)
    journal.deleteEntriesTo(2)
    journal.close()
    again = LmdbJournal(tmp_path / "j")
    assert again.entries == entries(4)[2:] + entries(2, start=5, term=2, mark=b"new")
    again.close()


def flip(transaction, database):
    key = (6).to_bytes(8, "big")
    value = bytearray(transaction.get(key, db=database))
    value[-1] ^= 1
    transaction.put(key, bytes(value), db=database)


def drop(transaction, database):
    transaction.delete((6).to_bytes(8, "big"), db=database)


def shorten(transaction, database):
    transaction.put((6).to_bytes(8, "big"), b"x", db=database)


@pytest.mark.parametrize(
    ("damage", "sentence"), [(flip, "checksum"), (drop, "missing"), (shorten, "cut short")]
)
def test_s12_a_damaged_entry_is_reported_and_never_skipped(tmp_path, damage, sentence):
    filled(tmp_path / "j").close()
    rewrite(tmp_path / "j", damage)
    with pytest.raises(StoreError, match="entry 6") as report:
        LmdbJournal(tmp_path / "j")
    assert sentence in report.value.message
    assert "rejoins as a new node" in report.value.hint


def test_without_its_checksum_damage_would_go_unnoticed(tmp_path, monkeypatch):
    monkeypatch.setattr(zlib, "crc32", lambda *_: 0)
    filled(tmp_path / "j").close()
    rewrite(tmp_path / "j", flip)
    journal = LmdbJournal(tmp_path / "j")
    assert journal.entries != entries(10)
    journal.close()


def test_damaged_votes_are_reported(tmp_path):
    journal = filled(tmp_path / "j")
    journal.setCurrentTerm(3, "bob")
    journal.close()

    env = lmdb.open(str(tmp_path / "j"), max_dbs=2)
    meta = env.open_db(b"meta")
    with env.begin(write=True) as transaction:
        transaction.put(b"raft", transaction.get(b"raft", db=meta)[:-1] + b"x", db=meta)
    env.close()
    with pytest.raises(StoreError, match="term and vote"):
        LmdbJournal(tmp_path / "j")


def test_two_processes_cannot_share_a_directory(tmp_path):
    journal = filled(tmp_path / "j")
    with pytest.raises(StoreError, match="in use by another process"):
        LmdbJournal(tmp_path / "j")
    journal.close()
    LmdbJournal(tmp_path / "j").close()


def test_a_journal_of_another_format_is_refused(tmp_path):
    filled(tmp_path / "j").close()
    env = lmdb.open(str(tmp_path / "j"), max_dbs=2)
    with env.begin(write=True) as transaction:
        transaction.put(b"format", b"croncord-journal-99", db=env.open_db(b"meta", txn=transaction))
    env.close()
    with pytest.raises(StoreError, match="format"):
        LmdbJournal(tmp_path / "j")


def test_a_full_journal_says_so_and_stays_refused(tmp_path):
    journal = LmdbJournal(tmp_path / "j", map_bytes=256 * 1024)
    journal.add(bytes(400 * 1024), 1, 1)
    for _ in range(2):
        with pytest.raises(StoreError, match="largest size"):
            journal.sync()
    journal.close()


def test_entries_must_follow_each_other(tmp_path):
    journal = filled(tmp_path / "j")
    with pytest.raises(ValueError, match="does not follow"):
        journal.add(b"gap", 12, 1)
    journal.close()
