"""Filters and order of a list that a person saved under a name. Frozen."""

from typing import Annotated, Literal

import msgspec

from croncord.model import Name, Value

Listing = Literal["jobs", "runs"]
QUERY_CHARACTERS_MAX = 2000


class SavedView(Value, frozen=True, kw_only=True):
    """A name for the address of a list; each person has their own."""

    listing: Listing
    name: Name
    query: Annotated[str, msgspec.Meta(max_length=QUERY_CHARACTERS_MAX)] = ""
    """Everything after the `?`: `state=failed&q=backup`."""
