"""Writes the directory of an attempt: the script and the order for its shim.

The order is JSON: `run_id`, `attempt`, `prepared_ms`, `argv`, `script` (its path), `script_sha256`,
`environment` (all of it), `directory`, `directory_is_wanted` (false: the home directory, which may
be missing), `user`, `uid`, `gid`, `groups` (null: no change), `timeout_seconds`,
`kill_grace_seconds`, `log_bytes`, `on_limit`, `memory_bytes`, `processes`, `open_files` (null: no
limit), `umask`, `nice`, `ionice`, `cpu_percent` (null: no limit), `not_before` (seconds on the
machine's monotonic clock), `group` (null: none; else the directories of its control group, see
`croncord.node.group`).
"""

import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from croncord.frames import END, encode_frame
from croncord.node import rundir
from croncord.node.account import Account, find_account
from croncord.node.group import CPU, MEMORY, PROCESSES
from croncord.node.group_home import NO_GROUPS, GroupHome
from croncord.node.refusal import StartRefused
from croncord.node.script import prepare_script
from croncord.ports import LaunchRequest, LogKey

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LANG = "C.UTF-8"

_DRAFT_PREFIX = ".new-"


def directory_name(key: LogKey) -> str:
    """Name of the directory of an attempt."""
    return f"{key.run_id}.{key.attempt}"


def key_of(name: str) -> LogKey | None:
    """Return the attempt a directory is of, None for any other name."""
    run_id, _, attempt = name.rpartition(".")
    if not run_id or run_id.startswith(".") or not attempt.isdigit():
        return None
    return LogKey(run_id, int(attempt))


def write_order(
    runs: Path, request: LaunchRequest, prepared_ms: int, groups: GroupHome = NO_GROUPS
) -> Path:
    """Write everything the shim needs; the directory gets its name when it is complete.

    Blocks. Raises StartRefused when this machine cannot run the script, OSError when the disk
    cannot take it.
    """
    if request.cpu_percent is not None and not groups.holds_cpu:
        raise StartRefused(f"limits.cpu_percent cannot be held on this node: {groups.lacking}")
    account = find_account(request.user)
    prepared = prepare_script(request.script)
    directory = runs / directory_name(request.key)
    draft = _fresh(runs, request.key)
    draft.chmod(0o711 if account.is_other else 0o700)
    script = _place_script(draft, directory, account, prepared.content)
    environment = _environment(request, account)
    home = environment["HOME"]
    order = {
        "run_id": request.key.run_id,
        "attempt": request.key.attempt,
        "prepared_ms": prepared_ms,
        "argv": [*prepared.command, str(script)],
        "script": str(script),
        "script_sha256": prepared.sha256,
        "environment": environment,
        "directory": _working_directory(request.working_directory, home),
        "directory_is_wanted": bool(request.working_directory),
        "user": account.name,
        "uid": account.uid if account.is_other else None,
        "gid": account.gid if account.is_other else None,
        "groups": list(account.groups) if account.is_other else None,
        "timeout_seconds": request.timeout_seconds,
        "kill_grace_seconds": request.kill_grace_seconds,
        "log_bytes": request.log_bytes,
        "on_limit": request.on_limit,
        "memory_bytes": request.memory_bytes,
        "processes": request.processes,
        "open_files": request.open_files,
        "umask": request.umask,
        "nice": request.nice,
        "ionice": request.ionice,
        "cpu_percent": request.cpu_percent,
        "not_before": request.not_before,
        "group": groups.places(directory.name, _roles(request)),
    }
    _write(draft / rundir.ORDER, json.dumps(order).encode(), 0o600)
    if request.secrets:
        secrets = json.dumps(dict(request.secrets)).encode()
        _write(draft / rundir.SECRETS, secrets, 0o600)
    draft.rename(directory)
    return directory


def write_end(runs: Path, key: LogKey, result: Mapping[str, Any], prepared_ms: int) -> Path:
    """Write the directory of an attempt that ended without a shim. Blocks. Raises OSError."""
    directory = runs / directory_name(key)
    if not directory.exists():
        draft = _fresh(runs, key)
        order = {"run_id": key.run_id, "attempt": key.attempt, "prepared_ms": prepared_ms}
        _write(draft / rundir.ORDER, json.dumps(order).encode(), 0o600)
        rundir.take(str(draft), {})
        draft.rename(directory)
    (directory / rundir.SECRETS).unlink(missing_ok=True)
    text = json.dumps(result).encode()
    _write(directory / rundir.SPOOL, encode_frame(END, text, 0), 0o600)
    _write(directory / rundir.RESULT, text, 0o600)
    return directory


def remove_directory(directory: Path) -> None:
    """Remove all that was kept of an attempt. Blocks."""
    order = rundir.read_json(str(directory), rundir.ORDER) or {}
    script = Path(order.get("script", directory / rundir.SCRIPT))
    if script.parent != directory:
        shutil.rmtree(script.parent, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def remove_drafts(runs: Path) -> None:
    """Remove what an earlier life began to write and did not finish. Blocks."""
    for draft in runs.glob(f"{_DRAFT_PREFIX}*"):
        shutil.rmtree(draft, ignore_errors=True)


def _roles(request: LaunchRequest) -> list[str]:
    """Return which limits a control group should hold."""
    wanted = {
        MEMORY: request.memory_bytes,
        PROCESSES: request.processes,
        CPU: request.cpu_percent,
    }
    return [role for role, limit in wanted.items() if limit is not None]


def _fresh(runs: Path, key: LogKey) -> Path:
    draft = runs / f"{_DRAFT_PREFIX}{directory_name(key)}"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    return draft


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _place_script(draft: Path, directory: Path, account: Account, content: bytes) -> Path:
    """Write the script where its user can read it; returns the path it will have."""
    _write(draft / rundir.SCRIPT, content, 0o500)
    if not account.is_other:
        return directory / rundir.SCRIPT
    if _is_open_to_all(draft):
        os.chown(draft / rundir.SCRIPT, account.uid, account.gid)
        return directory / rundir.SCRIPT
    # The data directory is closed to that user: the bytes that ran stay here, a copy goes there.
    place = Path(tempfile.mkdtemp(prefix=f"croncord-{directory.name}-"))
    _write(place / rundir.SCRIPT, content, 0o500)
    for path in (place / rundir.SCRIPT, place):
        os.chown(path, account.uid, account.gid)
    return place / rundir.SCRIPT


def _is_open_to_all(directory: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (directory, *directory.parents))


def _environment(request: LaunchRequest, account: Account) -> dict[str, str]:
    return {
        "PATH": PATH,
        "HOME": account.home,
        "SHELL": account.shell,
        "LOGNAME": account.name,
        "USER": account.name,
        "LANG": LANG,
        **request.environment,
        # The marks by which every process of the run is found again: not for jobs to change.
        "CRONCORD_RUN_ID": request.key.run_id,
        "CRONCORD_ATTEMPT": str(request.key.attempt),
    }


def _working_directory(wanted: str, home: str) -> str:
    if wanted == "~" or wanted.startswith("~/"):
        wanted = wanted[2:]
    return posixpath.join(home, wanted) if wanted else home
