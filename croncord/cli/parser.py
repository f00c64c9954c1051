"""How the command tree is built: a parser that suggests, verbs with examples, argument types."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from croncord.cli.connection import DEFAULT_URL

Handler = Callable[[argparse.Namespace], int]
"""What a command does: parsed arguments to exit status. Errors are raised, not returned."""

P_co = TypeVar("P_co", bound=argparse.ArgumentParser, covariant=True)


class Nouns(Protocol[P_co]):
    """Where parsers of commands are added: what `add_subparsers` returns, which has no name."""

    def add_parser(self, *args: Any, **kwargs: Any) -> P_co:
        """Add the parser of one command."""


Verbs = Nouns

_UNIT_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviated options and says what was probably meant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """End with exit status 2: what is wrong, and the nearest thing that exists."""
        hint = self._nearest(message) or f"`{self.prog} --help` explains the arguments."
        self.exit(2, f"error: {message}\nhint: {hint}\n")

    def _nearest(self, message: str) -> str:
        wrong_choice = re.search(r"invalid choice: '([^']*)'", message)
        if wrong_choice:
            choices = [c for a in self._actions for c in a.choices or ()]
            return did_you_mean(wrong_choice[1], choices)
        unknown = re.search(r"unrecognized arguments:.*?(--[\w-]+)", message)
        return did_you_mean(unknown[1], self.long_options()) if unknown else ""

    def long_options(self) -> list[str]:
        """Return the long options of this parser and of all below it."""
        found: list[str] = []
        for action in self._actions:
            found += [option for option in action.option_strings if option.startswith("--")]
            if isinstance(action.choices, dict):
                for parser in action.choices.values():
                    found += parser.long_options()
        return found


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a question naming the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean `{close[0]}`?" if close else ""


def add_noun(nouns: Nouns[Any], name: str, about: str) -> Verbs[Any]:
    """Add a noun such as `job`; returns where its verbs go."""
    noun = nouns.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    verbs: Verbs[Any] = noun.add_subparsers(
        title="commands", metavar="COMMAND", dest="verb", required=True
    )
    return verbs


def add_verb(
    verbs: Verbs[Any],
    name: str,
    handler: Handler,
    about: str,
    *,
    example: str,
    prints_data: bool = True,
) -> argparse.ArgumentParser:
    """Add a command with its help, its example, the connection options and `--json`."""
    lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
    plural = "s" if "\n" in example.strip() else ""
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example{plural}:\n{lines}",
    )
    verb.set_defaults(handler=handler)
    add_connection_options(verb, default=argparse.SUPPRESS)
    if prints_data:
        verb.add_argument("--json", action="store_true", help="print JSON, for programs")
    return verb


def add_connection_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add `--url`, `--token` and `--ca`; they may stand before the noun or after the verb."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--url",
        metavar="URL[,URL…]",
        default=default,
        help=f"nodes to try in turn; default: $CRONCORD_URL, else {DEFAULT_URL}",
    )
    group.add_argument(
        "--token",
        default=default,
        help="API token; default: $CRONCORD_TOKEN, the file $CRONCORD_TOKEN_FILE, "
        "or the admin token of a node on this machine",
    )
    group.add_argument(
        "--ca",
        metavar="FILE",
        default=default,
        help="certificates of the authority to trust, and no other; default: $CRONCORD_CA_FILE, "
        "else the system's and that of a node on this machine",
    )


def duration(text: str) -> int:
    """Read `90`, `90s`, `5m` or `1h30m` as whole seconds."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not match or not any(match.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 5m or 1h30m")
    counts = (int(n or 0) for n in match.groups())
    return sum(n * unit for n, unit in zip(counts, _UNIT_SECONDS.values(), strict=True))


def pair(text: str) -> tuple[str, str]:
    """Read `KEY=VALUE`; the value may be empty and may hold more equals signs."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def instant(text: str) -> str:
    """Read an ISO 8601 time with a zone (or a date: midnight UTC) and return it in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time such as 2027-01-01T00:00:00Z"
        ) from None
    if moment.tzinfo is None:
        if len(text) > len("2027-01-01"):
            raise argparse.ArgumentTypeError(f"{text!r} names no zone; add Z for UTC, or +01:00")
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at_least_one(text: str) -> int:
    """Read a whole number from 1 on."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def whole_number(text: str) -> int:
    """Read a whole number from 0 on."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def existing_path(text: str) -> Path:
    """Read the path of something that exists."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text!r} does not exist")
    return path
