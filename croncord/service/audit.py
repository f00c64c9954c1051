"""Who changed what: the audit trail, as far as it concerns who asks.

Admins see everything. Others see what was done to jobs and runs in their reach, without addresses.
"""

from collections.abc import AsyncGenerator

from croncord.audit import AuditEntry, AuditFilter
from croncord.ports import AuditTrail
from croncord.preview import iso_utc
from croncord.raft.state import ClusterState
from croncord.service.agreement import Agreement
from croncord.service.lookup import sees_job_id
from croncord.service.paging import LIMIT_MAX, check_limit
from croncord.service.views import Json
from croncord.service.who import Who

_PAGES_MAX = 5
"""A page that finds little asks the disk so often, then leads on."""


class AuditService:
    """Reads the audit trail."""

    def __init__(self, agreement: Agreement, trail: AuditTrail | None) -> None:
        self._agreement = agreement
        self._trail = trail

    async def page(
        self, who: Who, where: AuditFilter, *, limit: int = 100, cursor: str = ""
    ) -> Json:
        """Return a page of entries, newest first: `{items, next_cursor}`.

        A page may be short although more follow. Raises Invalid.
        """
        who.require("viewer")
        check_limit(limit)
        agreed = await self._agreement.read()
        items: list[Json] = []
        for _ in range(_PAGES_MAX):
            entries, cursor = self._stored(where, limit - len(items), cursor)
            items += [_json(who, entry) for entry in entries if _sees(agreed, who, entry)]
            if not cursor or len(items) == limit:
                break
        return {"items": items, "next_cursor": cursor or None}

    async def all(self, who: Who, where: AuditFilter) -> AsyncGenerator[Json, None]:
        """Yield all entries, newest first."""
        cursor = ""
        while True:
            page = await self.page(who, where, limit=LIMIT_MAX, cursor=cursor)
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"] or ""
            if not cursor:
                return

    def _stored(self, where: AuditFilter, limit: int, before: str) -> tuple[list[AuditEntry], str]:
        if self._trail is None:
            return [], ""
        return self._trail.page(where, limit=limit, before=before)


def _sees(agreed: ClusterState, who: Who, entry: AuditEntry) -> bool:
    return who.may("admin") or bool(entry.job_id and sees_job_id(agreed, who, entry.job_id))


def _json(who: Who, entry: AuditEntry) -> Json:
    return {
        "index": entry.index,
        "at": iso_utc(entry.at),
        "by": entry.by,
        "from": entry.address if who.may("admin") else "",
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "outcome": entry.outcome or "done",
    }
