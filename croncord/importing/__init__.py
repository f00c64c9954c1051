"""Jobs of other schedulers, read from their own files, as jobs of CronCord.

Each reader gives one `Found` per job: the fields of the job that does the same, what differs a little,
or why it cannot be kept; and when the old scheduler would run it next, computed by its own rules and not
by ours, so that both can be shown beside each other.
"""

from croncord.importing.cronicle import read_cronicle
from croncord.importing.dkron import read_dkron
from croncord.importing.found import Found

__all__ = ["Found", "read_cronicle", "read_dkron"]
