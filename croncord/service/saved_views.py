"""Saved views: everybody keeps their own, on all nodes."""

import msgspec

from croncord.errors import FieldError, Invalid
from croncord.fields import read_fields
from croncord.raft.commands import DeleteView, PutView
from croncord.saved_views import SavedView
from croncord.service.agreement import Agreement
from croncord.service.views import Json, Rows
from croncord.service.who import Who


class SavedViewService:
    """What people do with their views."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    async def list(self, who: Who, *, listing: str = "", stale: bool = False) -> Rows:
        """Return the caller's views by list and name."""
        who.require("viewer")
        agreed = await self._agreement.read(stale=stale)
        mine = agreed.views.get(who.name, ())
        return [msgspec.to_builtins(v) for v in mine if listing in ("", v.listing)]

    async def put(self, who: Who, listing: str, name: str, query: str) -> Json:
        """Save a view, or replace the one of that name. Raises Invalid, Conflict."""
        who.require("viewer")
        view = read_fields(SavedView, {"listing": listing, "name": name, "query": query})
        if name != name.strip():
            raise Invalid([FieldError("name", "must not begin or end with a space")])
        await self._agreement.change(lambda at: PutView(at=at, by=who.name, view=view))
        fields: Json = msgspec.to_builtins(view)
        return fields

    async def delete(self, who: Who, listing: str, name: str) -> None:
        """Forget a view. Raises NotFound."""
        who.require("viewer")
        view = read_fields(SavedView, {"listing": listing, "name": name})
        await self._agreement.change(
            lambda at: DeleteView(at=at, by=who.name, listing=view.listing, name=view.name)
        )
