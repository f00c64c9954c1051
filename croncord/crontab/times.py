"""The time columns of a crontab entry, as strictly as cron takes them.

CronCord's own expressions allow more. What cron would refuse has no meaning in a crontab that
could be kept, and what cron accepts but never runs must not begin to run.
"""

import re
from types import MappingProxyType

from croncord.schedule.dialect import FIELDS, Field

WORDS = MappingProxyType(
    {
        "@yearly": "@yearly",
        "@annually": "@annually",
        "@monthly": "@monthly",
        "@weekly": "@weekly",
        "@daily": "@daily",
        "@midnight": "@midnight",
        "@hourly": "@hourly",
    }
)
_ITEM = re.compile(
    r"\*(?:/(?P<star>\d+))?"
    r"|(?P<low>\w+)(?:(?P<dash>[-~])(?P<high>\w+)(?:/(?P<step>\d+))?)?",
    re.ASCII,
)


class NotCron(ValueError):
    """Cron does not accept these columns, or never runs them; the message says why."""


def word_schedule(word: str) -> str:
    """Return the schedule of an `@word`; raise NotCron with the reason if it has none."""
    if word.lower() == "@reboot":
        raise NotCron(
            "@reboot runs at the start of one machine; CronCord has no such schedule yet. "
            "Let the machine's own init system run it"
        )
    try:
        return WORDS[word.lower()]
    except KeyError:
        raise NotCron(f"{word} is not one of {', '.join(WORDS)}") from None


def column_schedule(columns: list[str]) -> tuple[str, list[str]]:
    """Return the expression for five columns, and notes; raise NotCron with the reason.

    cronie's `6~15`, a minute drawn once when cron starts, becomes `H(6-15)`.
    """
    notes: list[str] = []
    texts = [
        ",".join(_item(field, item, notes) for item in column.split(","))
        for field, column in zip(FIELDS[1:], columns, strict=True)
    ]
    return " ".join(texts), notes


def _item(field: Field, item: str, notes: list[str]) -> str:
    m = _ITEM.fullmatch(item)
    if m is None:
        raise NotCron(f"{field.name}: cron does not accept {item!r}")
    if m["low"] is None:
        if m["star"] == "0":
            raise NotCron(f"{field.name}: a step of 0")
        return item
    low = _value(field, m["low"])
    if m["dash"] is None:
        return item
    high = _value(field, m["high"])
    if low > high:
        raise NotCron(
            f"{field.name}: the range {item!r} falls, so cron never runs it; "
            "write two ranges if it should wrap around"
        )
    if m["step"] is not None and int(m["step"]) == 0:
        raise NotCron(f"{field.name}: a step of 0")
    if m["dash"] == "~":
        if m["step"] is not None:
            raise NotCron(f"{field.name}: {item!r} draws at random with a step")
        notes.append(f"{item} is drawn once for each job, and stays: H({low}-{high})")
        return f"H({low}-{high})"
    return item


def _value(field: Field, text: str) -> int:
    if text.isdigit():
        value = int(text)
    elif text.lower() in field.names:
        value = field.low + field.names.index(text.lower())
    else:
        raise NotCron(f"{field.name}: cron does not accept {text!r}")
    if not field.low <= value <= field.high:
        raise NotCron(f"{field.name}: {value} is not between {field.low} and {field.high}")
    return value
