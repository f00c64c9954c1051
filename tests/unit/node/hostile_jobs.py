"""Jobs that misbehave, and how each of them ends. `docs/hostile-jobs.md` says the same in words."""

import os
import sys
from typing import Any

import msgspec

PYTHON = f"#!{sys.executable}\n"
SYSTEM_PYTHON = "#!/usr/bin/python3\n"
MEGABYTE = 1024 * 1024
IS_ROOT = os.geteuid() == 0


class Hostile(msgspec.Struct, frozen=True, kw_only=True):
    """A job that misbehaves. `{place}` in its script is a directory of its own."""

    name: str
    """As in the table of the document."""
    script: str
    changes: dict[str, Any] = {}
    kill_when: bytes = b""
    """End it with `grace_seconds` as soon as it has printed this."""
    grace_seconds: int = 0
    outcome: str = "exited"
    grouped_outcome: str = ""
    """The outcome where runs have control groups with all controllers, if it is another."""
    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes | None = None
    stdout_bytes: int | None = None
    stderr: bytes = b""
    """What its error output holds among other things."""
    detail: str = ""
    """What the run's detail holds among other things."""
    leaves: bool = False
    """Whether processes are left alone, as they are when a script ends by itself."""
    user: str = ""
    """Needs a node that runs as root."""


HOSTILE = [
    Hostile(
        name="fork bomb",
        script="[ $(id -u) = 0 ] && exit 99; f() { f | f & }; f; sleep 600",
        changes={"processes": 30, "timeout_seconds": 2, "kill_grace_seconds": 0},
        user="games",
        outcome="timed_out",
        grouped_outcome="limit_processes",
    ),
    Hostile(
        name="more processes than allowed",
        script="for i in $(seq 12); do sleep 600 & done; wait",
        changes={"processes": 6},
        outcome="limit_processes",
        detail="than its limit of 6",
    ),
    Hostile(
        name="double fork and setsid",
        script="(setsid bash -c 'setsid sleep 600 & sleep 600' &); echo ready; sleep 600",
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="empties its environment and becomes a daemon",
        script="(env -i setsid sleep 600 >&- 2>&- &); echo ready; sleep 600",
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="ignores TERM",
        script="trap '' TERM; echo ready; while :; do sleep 1; done",
        kill_when=b"ready",
        grace_seconds=1,
        outcome="killed",
        signal=9,
    ),
    Hostile(
        name="takes its time after TERM",
        script="trap 'sleep 0.3; echo clean; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
        kill_when=b"ready",
        grace_seconds=5,
        outcome="killed",
        exit_code=9,
        stdout=b"ready\nclean\n",
    ),
    Hostile(
        name="starts children when TERM comes",
        script="trap 'for i in 1 2 3 4 5; do setsid sleep 600 & done' TERM; echo ready; "
        "while :; do sleep 0.1; done",
        kill_when=b"ready",
        grace_seconds=1,
        outcome="killed",
        signal=9,
    ),
    Hostile(
        name="forks and exits without end",
        script=PYTHON
        + "import os, time\nif os.fork():\n    print('ready', flush=True)\n    time.sleep(600)\n"
        "while True:\n    if os.fork():\n        os._exit(0)\n    time.sleep(0.001)\n",
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="stops itself",
        script="kill -STOP $$",
        changes={"timeout_seconds": 1, "kill_grace_seconds": 5},
        outcome="timed_out",
        signal=15,
    ),
    Hostile(
        name="changes its process group",
        script="set -m; sleep 600 & sleep 600 & echo ready; sleep 600",
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="kills its process group",
        script="echo before; kill -9 0; echo after",
        signal=9,
        stdout=b"before\n",
    ),
    Hostile(
        name="kills everything it may",
        script="[ $(id -u) = 0 ] && exit 99; sleep 600 & kill -9 -1; exit 8",
        user="games",
        exit_code=8,
    ),
    Hostile(name="sends itself signals", script="kill -HUP $$; kill -SEGV $$", signal=1),
    Hostile(
        name="stops what watches over it",
        script="kill -STOP $PPID; sleep 600",
        changes={"kill_grace_seconds": 0, "timeout_seconds": 1},
        outcome="timed_out",
    ),
    Hostile(
        name="stops what watches over it when TERM comes",
        script="trap 'kill -STOP $PPID; sleep 600' TERM; echo ready; while :; do sleep 0.1; done",
        kill_when=b"ready",
        grace_seconds=1,
        outcome="killed",
        signal=9,
    ),
    Hostile(
        name="kills what watches over it",
        script="setsid sleep 600 & kill -9 $PPID; sleep 600",
        changes={"kill_grace_seconds": 0},
        outcome="runner_killed",
        detail="the process that watched over it was killed",
    ),
    Hostile(
        name="closes its output and lives on",
        script="exec >&- 2>&-; sleep 0.3; exit 4",
        exit_code=4,
        stdout=b"",
    ),
    Hostile(
        name="closes all descriptors",
        script=PYTHON + "import os, time\nos.closerange(0, 4096)\ntime.sleep(0.2)\nos._exit(5)\n",
        exit_code=5,
        stdout=b"",
    ),
    Hostile(
        name="prints 100 MB",
        script="head -c 100000000 /dev/zero",
        changes={"log_bytes": MEGABYTE},
        exit_code=0,
        stdout_bytes=MEGABYTE,
        detail="98951424 bytes of output were dropped",
    ),
    Hostile(
        name="prints without end, with on_limit kill",
        script="yes",
        changes={"log_bytes": MEGABYTE, "on_limit": "kill", "kill_grace_seconds": 0},
        outcome="limit_log",
        stdout_bytes=MEGABYTE,
    ),
    Hostile(
        name="never ends a line",
        script="head -c 300000 /dev/zero | tr '\\0' x",
        exit_code=0,
        stdout=b"x" * 300_000,
    ),
    Hostile(
        name="prints one byte at a time",
        script=PYTHON + "import os\nfor _ in range(20000):\n    os.write(1, b'x')\n",
        exit_code=0,
        stdout=b"x" * 20_000,
    ),
    Hostile(
        name="prints bytes of all kinds",
        script=PYTHON
        + "import os\nos.write(1, bytes(range(256)) * 9 + b'\\xff\\n::progress \\xfe\\n')\n",
        exit_code=0,
        stdout=bytes(range(256)) * 9 + b"\xff\n::progress \xfe\n",
    ),
    Hostile(
        name="prints after its end",
        script="(sleep 0.3; echo late) & echo early",
        exit_code=0,
        stdout=b"early\nlate\n",
    ),
    Hostile(
        name="leaves a child that holds its output",
        script="sleep 600 & exit 0",
        exit_code=0,
        detail="1 processes it started still run and were left alone",
        leaves=True,
    ),
    Hostile(
        name="removes its own directory",
        script='rm -rf "$(dirname "$0")"; echo gone; exit 6',
        exit_code=6,
        stdout=b"gone\n",
    ),
    Hostile(
        name="empties its own spool",
        script='echo one; sleep 0.2; : > "$(dirname "$0")/spool"; sleep 0.1; exit 6',
        exit_code=6,
        stdout=b"one\n",
    ),
    Hostile(
        name="removes the socket by which it is ended",
        script='rm "$(dirname "$0")/control"; echo ready; sleep 600',
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="huge environment from the job",
        script="true",
        changes={"environment": {f"A{i}": "x" * 32768 for i in range(200)}},
        outcome="start_failed",
        detail="the environment is too large for this machine",
    ),
    Hostile(
        name="huge environment of its own making",
        script="export X=$(head -c 200000 /dev/zero | tr '\\0' x); /bin/true",
        exit_code=126,
        stderr=b"Argument list too long",
    ),
    Hostile(
        name="zombie children",
        script=PYTHON
        + "import os, time\nfor _ in range(100):\n    if not os.fork():\n        os._exit(0)\n"
        "print('ready', flush=True)\ntime.sleep(600)\n",
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="orphans that end later",
        script="for i in $(seq 50); do (sleep 0.1 >&- 2>&- &); done; sleep 0.4; exit 3",
        exit_code=3,
    ),
    Hostile(
        name="a process name made to confuse",
        script="bash -c \"exec -a $'x) S 1 1 1 \\n' sleep 600\" & "
        "cp /bin/sleep '{place}/a) Z 1'; '{place}/a) Z 1' 600 & echo ready; sleep 600",
        kill_when=b"ready",
        outcome="killed",
    ),
    Hostile(
        name="missing interpreter",
        script="#!/no/such/program\n",
        outcome="start_failed",
        detail="there is no such file on this machine",
    ),
    Hostile(
        name="interpreter of a foreign format",
        script="#!{place}/foreign\n",
        outcome="start_failed",
        detail="is not a program this machine can run",
    ),
    Hostile(
        name="starts a program of a foreign format",
        script="{place}/foreign; exit $?",
        exit_code=126,
        stderr=b"Exec format error",
    ),
    Hostile(
        name="prints to the terminal",
        script="echo x > /dev/tty && exit 1; exit 3",
        exit_code=3,
        stdout=b"",
        stderr=b"/dev/tty",
    ),
    Hostile(
        name="waits for input",
        script='read -r line; echo "[$line]"; cat | wc -c',
        exit_code=0,
        stdout=b"[]\n0\n",
    ),
    Hostile(
        name="fills a disk up to a limit",
        script="ulimit -f 100; head -c 10000000 /dev/zero > '{place}/fill'; exit $?",
        exit_code=153,
    ),
    Hostile(
        name="takes too much memory",
        script=PYTHON + "import time\nx = b'x' * (200 << 20)\ntime.sleep(600)\n",
        changes={"memory_bytes": 64 * MEGABYTE},
        outcome="limit_memory",
        detail="than its limit of 67108864",
    ),
    Hostile(
        name="opens files without end",
        script=PYTHON
        + "import os, sys\nfiles = []\ntry:\n    while True:\n        files.append(os.open('/', 0))\n"
        "except OSError as error:\n    sys.exit(error.errno)\n",
        changes={"open_files": 64},
        exit_code=24,
    ),
    Hostile(
        name="keeps the processor busy",
        script="while :; do :; done",
        changes={"timeout_seconds": 1, "kill_grace_seconds": 5, "nice": 19},
        outcome="timed_out",
        signal=15,
    ),
]
