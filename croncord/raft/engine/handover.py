"""Handing committed entries to the machine, each once.

Scenarios s5 (an exception is retried at every tick for ever) and s6 (an exception in a callback
applies the command twice): here an exception stops the node before it could differ from others.
"""

from croncord.raft.engine.pinned import REGULAR, Halted, Pinned

ENTRIES_PER_TICK = 4096


class HandOver(Pinned):
    """Total, once, in order."""

    def hand_over(self) -> bool:
        """Hand over what is committed; a bounded number per tick keeps heartbeats on time."""
        applied, commit = self.applied_index, self.commit_index
        if commit <= applied:
            return False
        first = self.log.first_index
        end = min(commit, applied + ENTRIES_PER_TICK)
        for command, index, term in self.log[applied + 1 - first : end + 1 - first]:
            if index != self.applied_index + 1:
                raise Halted(f"Entry {self.applied_index + 1} is missing from the log")
            if command[:1] == REGULAR:
                try:
                    self.machine.committed(index, term, command[1:])
                except Exception as error:
                    raise Halted(f"Entry {index} could not be handed over: {error!r}") from error
            self.applied_index = index
        return False
