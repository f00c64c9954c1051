"""How long after its instant a script begins, on a quiet cluster, and beside others.

    python benchmarks/cluster/lateness.py [--seconds 600]

Three real nodes, one tick due each second. In the same minutes, at other parts of each second:

- APScheduler in this process, which starts the same script (`pip install croncord[bench]`);
- a bare `posix_spawn` of it, which is what any scheduler pays at least;
- the system's cron daemon, once a minute at the full second, in a mount namespace of its own so that
  the machine's crontabs are neither read nor touched (needs root; `apt-get install cron`).

Late is what the script notes as its first act, by its own clock, minus the nominal instant.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stage import (
    WITNESS,
    cpu_percent,
    fleet,
    heading,
    machine,
    one_tick_a_second,
    say,
    starts,
    tell,
)

SCHEDULER_PHASE, SPAWN_PHASE = 0.4, 0.7
"""Parts of the second at which the others are due."""

CROND = """
set -e
mount --make-rprivate /
mkdir {place}/none
mount --bind {place}/crontab /etc/crontab
mount --bind {place}/none /etc/cron.d
mount --bind {place}/none /var/spool/cron/crontabs
mount -t tmpfs none /run
exec cron -f
"""


@contextlib.contextmanager
def system_cron(place: Path, script: Path, witness: Path) -> Iterator[None]:
    """Have the system's cron run the script each minute, where that can be done."""
    if os.geteuid() or not shutil.which("cron") or not Path("/etc/crontab").exists():
        yield
        return
    place.mkdir()
    minute = "$(($(date +\\%s) / 60 * 60))"
    (place / "crontab").write_text(f"* * * * * root bash {script} {minute} >> {witness}\n")
    code = CROND.format(place=place)
    daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", code])
    try:
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def spawn_each_second(script: Path, stop: threading.Event) -> None:
    """Start the script bare, once a second."""
    while not stop.wait(_until(SPAWN_PHASE)):
        nominal = f"{int(time.time()) + SPAWN_PHASE:.1f}"
        pid = os.posix_spawn("/bin/bash", ["bash", str(script), nominal], os.environ)
        os.waitpid(pid, 0)
        time.sleep(0.05)


def _until(phase: float) -> float:
    return (phase - time.time() % 1) % 1


@contextlib.contextmanager
def apscheduler(script: Path) -> Iterator[None]:
    """Have APScheduler start the script once a second, where it is installed."""
    try:
        from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415  optional
    except ImportError:
        yield
        return

    def start() -> None:
        subprocess.run(["bash", script, f"{int(time.time()) + SCHEDULER_PHASE:.1f}"], check=True)

    begin = datetime.now(UTC).replace(microsecond=int(SCHEDULER_PHASE * 1e6))
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_job(start, "interval", seconds=1, start_date=begin)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown()


def _script(place: Path, name: str) -> tuple[Path, Path]:
    """Write a script that notes its start, and return it with its witness."""
    witness, script = place / f"{name}.witness", place / f"{name}.sh"
    script.write_text(WITNESS % witness)
    return script, witness


def main() -> None:
    """Let the time pass, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    with fleet() as nodes:
        place = nodes.directory
        ours = place / "witness"
        one_tick_a_second(nodes.leader(), ours)
        bare, bare_witness = _script(place, "bare")
        other, other_witness = _script(place, "apscheduler")
        cron, cron_witness = _script(place, "cron")
        stop = threading.Event()
        spawning = threading.Thread(target=spawn_each_second, args=(bare, stop))
        time.sleep(5)
        settled = time.time()
        with apscheduler(other), system_cron(place / "cron.d", cron, cron_witness):
            spawning.start()
            taken = cpu_percent(nodes.nodes, seconds)
            stop.set()
            spawning.join()
        time.sleep(1)
        heading(f"after the nominal instant ({machine()})")
        for name, witness in (
            ("croncord, three nodes", ours),
            ("APScheduler, in process", other_witness),
            ("the system's cron", cron_witness),
            ("bare posix_spawn", bare_witness),
        ):
            tell(name, [each.late_ms for each in starts(witness) if each.nominal > settled])
        say("processor meanwhile: " + ", ".join(f"{each:.1f} %" for each in taken) + " per daemon")


if __name__ == "__main__":
    main()
