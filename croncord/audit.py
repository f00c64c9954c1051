"""What was done to the cluster, by whom, from where: an entry of the audit trail."""

from datetime import datetime

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change that was agreed or refused."""

    index: int
    """Of the command, in the order in which the cluster agreed."""
    at: datetime
    by: str
    """`user:ada`, `token:deploy`, `node:n1`, `link:setup`, or empty for a node itself."""
    address: str
    """Where the request came from; empty when it was no request."""
    action: str
    """A noun and a verb: `job.edit`, `token.create`."""
    subject: str
    """`job:backup`, `user:ada`, `cluster`."""
    job_id: str = ""
    """Of the job that it is about, if it is about one."""
    detail: str = ""
    """What changed: names and digests; never a script, a password, a key or a secret."""
    outcome: str = ""
    """Empty when it was done, else why it was refused."""


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; empty fields match everything.

    `by` and `subject` match with or without their kind, `action` also by its noun alone.
    """

    since: datetime | None = None
    until: datetime | None = None
    by: str = ""
    subject: str = ""
    action: str = ""

    def matches(self, entry: AuditEntry) -> bool:
        """Whether the entry is one that is asked for."""
        return (
            (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and _is_named(entry.by, self.by, ":")
            and _is_named(entry.subject, self.subject, ":")
            and (self.action in ("", entry.action) or entry.action.startswith(f"{self.action}."))
        )


def _is_named(whole: str, wanted: str, mark: str) -> bool:
    return wanted in ("", whole, whole.partition(mark)[2])
