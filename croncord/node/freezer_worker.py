"""Stops a process for some seconds: `freezer_worker.py PID SECONDS`. Standard library only.

It becomes two processes before it stops anything: each continues the process when the time is over,
so that one may be killed. TERM is ignored, because a service that is being stopped while it is frozen
must be continued to hear of it. The process is known by its start time too: its id may be somebody
else's by then. Exit status 0 if it was seen standing still.
"""

import os
import signal
import sys
import time
from pathlib import Path

DELAY_SECONDS = 0.5
"""For the answer to reach who asked."""
SEEN_SECONDS = 0.1


def main(pid: int, seconds: float) -> int:
    """Stop the process, wait, continue it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begun = look(pid)[1]
    over = time.monotonic() + DELAY_SECONDS + seconds
    is_first = os.fork() != 0
    stood_still = False
    try:
        if is_first:
            time.sleep(DELAY_SECONDS)
            send(pid, begun, signal.SIGSTOP)
            time.sleep(SEEN_SECONDS)
            stood_still = look(pid)[0] in "tT"
        time.sleep(max(0.0, over - time.monotonic()))
    finally:
        send(pid, begun, signal.SIGCONT)
    return 0 if stood_still else 1


def send(pid: int, begun: str, number: int) -> None:
    """Send the signal if that process is still the one that was meant."""
    if look(pid)[1] == begun != "":
        os.kill(pid, number)


def look(pid: int) -> tuple[str, str]:
    """Return a process's state letter and start time, as proc(5) tells them; empty when gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
