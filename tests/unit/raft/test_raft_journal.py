"""The journal on a real disk: what was synced is there, whole, or the node says that it is not."""

import os
import shutil
import zlib

import lmdb
import pytest

from croncord.errors import StoreError
from croncord.raft import journal as journals
from croncord.raft.journal import LmdbJournal
from croncord.raft.tail import TAIL_BYTES


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


def replace_tail_of(journal, cut):
    journal.deleteEntriesFrom(cut)
    for entry in entries(3, start=cut + 1, term=2, mark=b"new"):
        journal.add(*entry)


@pytest.mark.parametrize("written", [0, 1, 23, 60])
@pytest.mark.parametrize("cut", [0, 3, 9])
def test_s13_a_crash_amid_a_truncation_leaves_the_old_entries(tmp_path, monkeypatch, cut, written):
    journal = filled(tmp_path / "j")
    replace_tail_of(journal, cut)
    whole = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:written], at))
        with pytest.raises(StoreError, match="written in part"):
            journal.sync()
    half = LmdbJournal(copy_of(tmp_path / "j"))
    assert half.entries == entries(10)
    half.close()
    with pytest.raises(StoreError, match="written in part"):
        journal.sync()  # whatever the disk says next time
    journal.close()


@pytest.mark.parametrize("cut", [0, 3, 9])
def test_a_crash_amid_the_folding_of_the_tail_loses_nothing(tmp_path, monkeypatch, cut):
    journal = filled(tmp_path / "j")
    replace_tail_of(journal, cut)
    journal.sync()
    expected = entries(cut) + entries(3, start=cut + 1, term=2, mark=b"new")
    with monkeypatch.context() as patch:
        patch.setattr(LmdbJournal, "_packed_meta", lambda _self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            journal.close()  # dies after the entries were put, before the transaction is complete
    after = LmdbJournal(copy_of(tmp_path / "j"))
    assert after.entries == expected
    after.close()
    again = LmdbJournal(tmp_path / "j")
    assert again.entries == expected
    again.close()


class FoldsInPlace(LmdbJournal):
    """pysyncobj's FileJournal changes its file step by step; here a step is a transaction."""

    steps = 4

    def _fold(self):
        for item in self._unfolded:
            FoldsInPlace.steps -= 1
            if FoldsInPlace.steps < 0:
                raise InterruptedError
            with self._env.begin(write=True) as transaction:
                self._write_entries(transaction, [item])
                transaction.put(b"generation", b"in place", db=self._meta_db)


def test_s13_without_one_transaction_for_all_a_crash_loses_synced_entries(tmp_path):
    filled(tmp_path / "j").close()
    journal = FoldsInPlace(tmp_path / "j")
    kept = journal.entries[3:]
    journal.clear()
    for entry in kept:  # compaction as pysyncobj does it
        journal.add(*entry)
    journal.sync()
    with pytest.raises(InterruptedError):
        journal.close()
    after = LmdbJournal(tmp_path / "j")
    assert after.entries == kept[:3]
    after.close()


def test_s13_without_its_checksum_half_a_record_would_count(tmp_path, monkeypatch):
    monkeypatch.setattr(zlib, "crc32", lambda *_: 0)
    journal = filled(tmp_path / "j")
    replace_tail_of(journal, 3)
    whole = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:60], at))
        with pytest.raises(StoreError, match="written in part"):
            journal.sync()
    with pytest.raises(StoreError, match="damaged"):
        LmdbJournal(copy_of(tmp_path / "j"))
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
    journal.add(bytes(TAIL_BYTES), 1, 1)
    for _ in range(2):
        with pytest.raises(StoreError, match="largest size"):
            journal.sync()
    journal.close()


def test_a_journal_larger_than_its_tail_is_read_back_whole(tmp_path):
    journal = LmdbJournal(tmp_path / "j")
    expected = []
    for index in range(1, 40):
        expected.append((bytes([index]) * (TAIL_BYTES // 8 + index), index, 1))
        journal.add(*expected[-1])
        journal.sync()
    after = LmdbJournal(copy_of(tmp_path / "j"))
    assert after.entries == expected
    after.close()
    journal.close()


def test_after_a_quiet_moment_everything_is_in_the_database(tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "QUIET_SECONDS", -1)
    journal = filled(tmp_path / "j")
    damage_tail(tmp_path / "j", 0)
    after = LmdbJournal(copy_of(tmp_path / "j"))
    assert after.entries == entries(10)
    after.close()
    journal.close()


def damage_tail(path, record):
    """Change a byte of a record; each of those that `three_records` wrote has a sector."""
    with (path / "tail").open("r+b") as file:
        file.seek(record * 512 + 40)
        byte = file.read(1)[0] ^ 1
        file.seek(record * 512 + 40)
        file.write(bytes([byte]))


def three_records(path):
    journal = LmdbJournal(path)
    for entry in entries(3):
        journal.add(*entry)
        journal.sync()
    return journal


@pytest.mark.parametrize("record", [0, 1])
def test_a_damaged_record_that_was_synced_is_reported_and_never_skipped(tmp_path, record):
    journal = three_records(tmp_path / "j")
    target = copy_of(tmp_path / "j")
    damage_tail(target, record)
    with pytest.raises(StoreError, match=f"record {record} is damaged") as report:
        LmdbJournal(target)
    assert "rejoins as a new node" in report.value.hint
    journal.close()


def test_the_last_record_looks_like_one_that_a_crash_interrupted(tmp_path):
    journal = three_records(tmp_path / "j")
    target = copy_of(tmp_path / "j")
    damage_tail(target, 2)
    after = LmdbJournal(target)
    assert after.entries == entries(2)
    after.add(b"other", 3, 2)
    after.close()
    again = LmdbJournal(target)
    assert again.entries == [*entries(2), (b"other", 3, 2)]
    again.close()
    journal.close()


def test_records_from_before_the_folding_are_void(tmp_path):
    three_records(tmp_path / "j").close()
    again = LmdbJournal(tmp_path / "j")
    again.deleteEntriesFrom(1)
    again.sync()
    after = LmdbJournal(copy_of(tmp_path / "j"))
    assert after.entries == entries(1)
    after.close()
    again.close()


def test_a_journal_without_its_tail_is_reported(tmp_path):
    filled(tmp_path / "j").close()
    (tmp_path / "j" / "tail").unlink()
    with pytest.raises(StoreError, match="tail is missing"):
        LmdbJournal(tmp_path / "j")


def test_a_journal_from_before_there_was_a_tail_is_taken_over(tmp_path):
    filled(tmp_path / "j").close()
    (tmp_path / "j" / "tail").unlink()
    env = lmdb.open(str(tmp_path / "j"), max_dbs=2)
    with env.begin(write=True) as transaction:
        meta = env.open_db(b"meta", txn=transaction)
        transaction.put(b"format", b"croncord-journal-1", db=meta)
        transaction.delete(b"generation", db=meta)
    env.close()
    for _ in range(2):
        journal = LmdbJournal(tmp_path / "j")
        assert journal.entries == entries(10)
        journal.close()


def test_entries_must_follow_each_other(tmp_path):
    journal = filled(tmp_path / "j")
    with pytest.raises(ValueError, match="does not follow"):
        journal.add(b"gap", 12, 1)
    journal.close()
