"""The directory of an attempt: what lies in it, who writes it, and who decides that it starts.

    order     daemon  JSON: what to start and how
    script    daemon  the bytes that run
    secrets   daemon  JSON: secret variables; gone as soon as the shim has read them
    meta      shim    JSON: the shim's pid, its start tick, the boot id; see `take`
    control   shim    Unix socket: the daemon listens for news and asks for a kill
    main      shim    JSON: pid, start tick and start time of the script's first process
    spool     shim    frames of output, the last one an end frame
    result    shim    JSON, equal to the payload of the end frame; its room is reserved at the start
    trouble   shim    what the shim itself had to complain about, normally empty

Imported by the shim: standard library only.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH104, PTH108, PTH118, PTH123

import json
import os
from typing import Any, Final

ORDER: Final = "order"
SCRIPT: Final = "script"
SECRETS: Final = "secrets"
META: Final = "meta"
CONTROL: Final = "control"
MAIN: Final = "main"
SPOOL: Final = "spool"
RESULT: Final = "result"
TROUBLE: Final = "trouble"

RESULT_BYTES: Final = 16 * 1024
"""Room reserved for the result, so that a disk that fills up meanwhile does not lose it."""


def take(directory: str, meta: dict[str, Any]) -> bool:
    """Make the `meta` file unless it is there; returns whether this call made it.

    The shim takes the directory before it starts anything. A daemon that comes back and finds a
    directory without `meta` takes it too: then a shim that is still on its way starts nothing.
    """
    draft = _write_draft(directory, META, meta)
    try:
        os.link(draft, os.path.join(directory, META))
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True


def read_json(directory: str, name: str) -> dict[str, Any] | None:
    """Return what the file says, None when it is missing or not whole."""
    try:
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(os.read(descriptor, os.fstat(descriptor).st_size).rstrip(b"\0"))
    except ValueError:
        return None
    finally:
        os.close(descriptor)
    return found if isinstance(found, dict) else None


def take_secrets(directory: str) -> dict[str, str]:
    """Return the secret variables and remove them from the disk; nothing when there are none."""
    path = os.path.join(directory, SECRETS)
    try:
        with open(path, "rb") as file:
            os.unlink(path)
            return dict(json.loads(file.read()))
    except FileNotFoundError:
        return {}


def write_json(directory: str, name: str, content: dict[str, Any]) -> None:
    """Write the file so that a reader sees all of it or nothing."""
    os.rename(_write_draft(directory, name, content), os.path.join(directory, name))


def _write_draft(directory: str, name: str, content: dict[str, Any]) -> str:
    # No file objects: what a shim touches of the interpreter is copied for each.
    draft = os.path.join(directory, f".{name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, json.dumps(content).encode())
    finally:
        os.close(descriptor)
    return draft
