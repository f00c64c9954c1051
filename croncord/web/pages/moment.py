"""Times in the address of a page: a day, or an instant as the API writes it."""

from collections.abc import Mapping
from datetime import datetime

from croncord.errors import FieldError, Invalid
from croncord.web.format import instant


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """Read `2027-01-01`, its midnight in UTC, or `2027-01-01T14:30Z`; None when there is nothing.

    Raises Invalid with the field's name.
    """
    text = query.get(name, "").strip()
    try:
        return instant(text)
    except ValueError:
        said = f"{text[:64]!r} is not a time; write 2027-01-31 or 2027-01-31T14:30Z"
        raise Invalid([FieldError(name, said)]) from None
