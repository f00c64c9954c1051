"""From a running cluster into a file, and from the file onto an empty disk, as an operator does it."""

import asyncio
import json
import socket

import pytest
from desks import ADMIN, OPERATOR, Office, fast_directory

from croncord.__main__ import main
from croncord.audit import AuditFilter
from croncord.backup_format import MAGIC
from croncord.errors import ConfigError, Forbidden
from croncord.logs.audit_log import AuditLog
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.node.vault import SecretVault
from croncord.ports import LogKey, RunFilter
from croncord.raft.image import decode_image
from croncord.raft.journal import LmdbJournal
from croncord.raft.snapshotfile import read_snapshot
from croncord.service.backup import BackupOrder
from croncord.standing import Standing
from croncord.unpacking import check_backup

SECRET = "the cluster secret"
OTHER = "another cluster's secret"


@pytest.fixture
def here():
    with fast_directory() as path:
        yield path


async def taken(path, *, output=True, secret=False):
    """Take a backup of an office with a user, two jobs, two runs that ended and one that runs."""
    (path / "office").mkdir()
    office = await Office.open(path / "office")
    await office.add_user("ada", "admin")
    await office.job("backup", schedule="* * * * *")
    await office.job("report")
    if secret:
        await office.desk.secrets.put(ADMIN, "DB_PASSWORD", {"value": "hunter22"})
    done = await office.ran("backup", b"one\n", b"two\n")
    await office.ran("report", b"failed\n", state="failed")
    running = await office.run("report")
    await office.launch(running["id"])
    await office.write(running["id"], b"half\n")
    order = BackupOrder(ledger=output, output=output)
    pieces = [piece async for piece in await office.desk.backup.begin(ADMIN, order)]
    state = office.replica.state
    await office.close()
    file = path / "b.backup"
    file.write_bytes(b"".join(pieces))
    return file, state, done, running["id"]


def restore(here, file, *words, name="m1"):
    (here / "secret").write_text(SECRET)
    (here / "secret").chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    raft = f"127.0.0.1:{port}"
    where = ["--data-dir", str(here / "data"), "--name", name, "--raft", raft]
    return main(["cluster", "restore", str(file), *where, *words])


def installed(here):
    meta, (state, _) = read_snapshot(here / "data" / "raft" / "snapshot", decode_image)
    state.check()
    return meta, state


async def test_jobs_users_history_and_output_are_on_the_new_disk(here, capsys):
    file, old, done, running = await taken(here)
    assert await _in_thread(restore, here, file) == 0
    said = capsys.readouterr().out
    assert "holds the first node of a new cluster, m1." in said
    assert "1 run that ran then: lost; 0 that waited: not launched." in said
    meta, state = installed(here)
    assert meta.members.keys() == {"m1"}
    assert {job.name for job in state.jobs.values()} == {"backup", "report"}
    assert state.users["ada"].password == old.users["ada"].password
    assert state.session_key not in (b"", old.session_key)
    journal = LmdbJournal(here / "data" / "raft" / "journal")
    assert (journal.founded, journal.last_index, journal.term) == (True, meta.index, meta.term)
    journal.close()

    ledger = await RunLedger.start(here / "data" / "ledger")
    logs = await LogStore.start(here / "data" / "logs")
    audit = await AuditLog.start(here / "data" / "audit")
    rows = {row.id: row for row in ledger.page(RunFilter(), limit=100)}
    assert rows[done].state == "succeeded"
    assert rows[done].replicas == ("m1",)
    assert (rows[running].state, rows[running].reason) == ("lost", "restored")
    assert rows[running].replicas == ()
    text = b"".join([chunk.data async for chunk in logs.read(LogKey(done, 1))])
    assert text == b"one\ntwo\n"
    info = logs.status(LogKey(done, 1)).info
    assert info.sha256 == rows[done].log.sha256
    actions = [entry.action for entry in audit.page(AuditFilter(), limit=50)[0]]
    assert actions[0] == "cluster.restore"
    assert "job.create" in actions
    for store in (audit, logs, ledger):
        await store.stop()


async def test_without_history_the_last_rows_are_there_and_say_nothing_of_output(here):
    file, *_ = await taken(here, output=False)
    assert await _in_thread(restore, here, file) == 0
    _, state = installed(here)
    recent = [row for rows in state.recent.values() for row in rows]
    assert {row.replicas for row in recent} == {()}


async def test_only_an_admin_gets_a_backup_and_it_holds_no_key_to_come_in_with(here):
    file, *_ = await taken(here)
    assert file.read_bytes().startswith(MAGIC)
    state, _ = check_backup(file, lambda _done, _what: None)
    assert (state.session_key, len(state.links), len(state.join_tokens)) == (b"", 0, 0)
    office = await Office.open(here / "office")
    with pytest.raises(Forbidden):
        await office.desk.backup.begin(OPERATOR, BackupOrder())
    await office.close()


async def test_a_dry_run_says_what_is_in_the_file_and_changes_nothing(here, capsys):
    file, *_ = await taken(here)
    assert await _in_thread(restore, here, file, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "is whole. Nothing was changed." in said
    assert "2 rows" in said
    assert not (here / "data").exists()
    assert await _in_thread(restore, here, file, "--dry-run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["jobs"], found["users"], found["rows"]) == (2, 1, 2)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-40], "is cut short"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "is damaged"),
        (lambda _: b"#!/bin/sh\n", "is no backup of CronCord"),
    ],
    ids=["cut short", "damaged", "something else"],
)
async def test_a_file_that_is_not_whole_is_refused_and_nothing_is_changed(
    here, capsys, spoil, words
):
    file, *_ = await taken(here)
    file.write_bytes(spoil(file.read_bytes()))
    assert await _in_thread(restore, here, file) == 1
    assert words in capsys.readouterr().err
    assert not (here / "data").exists()


async def test_a_disk_that_a_node_has_run_on_is_refused(here, capsys):
    file, *_ = await taken(here)
    assert await _in_thread(restore, here, file) == 0
    before = (here / "data" / "raft" / "snapshot").read_bytes()
    assert await _in_thread(restore, here, file) == 6
    assert "is in use: it holds raft, ledger, logs, audit" in capsys.readouterr().err
    assert (here / "data" / "raft" / "snapshot").read_bytes() == before


async def test_a_restore_that_was_interrupted_is_begun_anew_and_no_node_starts_before(here):
    file, *_ = await taken(here)
    (here / "data" / "ledger").mkdir(parents=True)
    (here / "data" / "restoring").touch()
    with pytest.raises(ConfigError, match="a restore was interrupted"):
        Standing(here / "data").check_not_removed()
    assert await _in_thread(restore, here, file) == 0
    assert not (here / "data" / "restoring").exists()


async def test_secrets_need_the_old_clusters_secret_and_the_refusal_says_so(here, capsys):
    file, *_ = await taken(here, secret=True)
    assert await _in_thread(restore, here, file) == 2
    error = capsys.readouterr().err
    assert "1 secret of the backup (DB_PASSWORD) cannot be opened" in error
    assert "--old-secret-file" in error
    assert not (here / "data" / "raft").exists()
    assert not (here / "data" / "cluster.secret").exists()

    secret = str(here / "secret")
    assert await _in_thread(restore, here, file, "--secret-file", secret) == 0
    _, state = installed(here)
    assert _value(state, SECRET) == "hunter22"


async def test_secrets_are_sealed_anew_when_the_new_cluster_has_another_secret(here):
    file, *_ = await taken(here, secret=True)
    other = here / "other"
    other.write_text(OTHER)
    other.chmod(0o600)
    words = ["--secret-file", str(other), "--old-secret-file", str(here / "secret")]
    assert await _in_thread(restore, here, file, *words) == 0
    _, state = installed(here)
    assert _value(state, OTHER) == "hunter22"


async def test_a_cluster_whose_secret_is_lost_is_restored_without_secrets_when_asked(here, capsys):
    file, *_ = await taken(here, secret=True)
    assert await _in_thread(restore, here, file, "--without-secrets", "--json") == 0
    assert json.loads(capsys.readouterr().out)["secrets_readable"] is False


def _value(state, cluster_secret):
    secret = state.secrets["DB_PASSWORD"]
    return SecretVault(cluster_secret.encode()).open(secret.name, secret.sealed)


async def _in_thread(function, *arguments):
    """Run a command that has a loop of its own."""
    return await asyncio.to_thread(function, *arguments)
