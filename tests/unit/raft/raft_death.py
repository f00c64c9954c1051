"""Death at a chosen step to the disk: the n-th write or sync of the journal or of snapshots."""

import itertools
import os
import signal
from pathlib import Path

from croncord.raft import journal

BEFORE, HALFWAY, AFTER = "before", "halfway", "after"
PHASES = (BEFORE, HALFWAY, AFTER)


def die_at(point):
    """Have SIGKILL at a step of this process, such as "journal:3:halfway" or "snapshot:1:after".

    Steps of the journal are the writes and syncs of its tail and each folding into LMDB, which
    here happens all the time. Steps of snapshots are writes, syncs and renames, of written and of
    received ones.
    """
    kind, number, phase = point.split(":")
    steps = itertools.count(1)

    def dies(step, half=None):
        """Wrap a step; `half` does it in part and is given for writes."""

        def wrapped(*arguments):
            is_last = next(steps) == int(number)
            if is_last and phase != AFTER:
                if phase == HALFWAY and half is not None:
                    half(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*arguments)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    if kind == "journal":
        pwrite = os.pwrite
        os.pwrite = dies(pwrite, lambda file, data, at: pwrite(file, data[: len(data) // 2], at))
        os.fdatasync = dies(os.fdatasync)
        journal.LmdbJournal._fold = dies(journal.LmdbJournal._fold)
        journal.QUIET_SECONDS = 0.01
    else:
        os.fsync = dies(os.fsync)
        Path.replace = dies(Path.replace)
        opened = Path.open

        def open_dying(path, mode="r", *arguments, **options):
            file = opened(path, mode, *arguments, **options)
            return Dying(file, dies) if mode == "wb" else file

        Path.open = open_dying


class Dying:
    """A file whose writes are steps."""

    def __init__(self, file, dies):
        self._file = file
        self.write = dies(file.write, lambda data: file.write(data[: len(data) // 2]))

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
