"""What a user or token may: the options that say it, and how lists show it."""

import argparse
from typing import Any, get_args

from croncord.credentials import Role


def add_reach_options(verb: argparse.ArgumentParser, *, role: str | None) -> None:
    """Add `--role` and `--tag`."""
    told = "may do this to jobs and everything else" if role else "the new role"
    verb.add_argument("--role", choices=get_args(Role), default=role, help=told)
    verb.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        dest="tags",
        help="only for jobs with this tag; may be repeated, any of them will do",
    )


def reach_fields(args: argparse.Namespace) -> dict[str, Any]:
    """Return the API's fields for these options."""
    if args.tags:
        return {"grants": [{"role": args.role or "operator", "tags": args.tags}]}
    return {"role": args.role} if args.role else {}


def reach_words(holder: dict[str, Any]) -> str:
    """Say what a user or token may, in a few words."""
    grants = [
        f"{grant['role']} of {', '.join(grant['tags']) or 'all jobs'}" for grant in holder["grants"]
    ]
    scopes = holder.get("scopes")
    return ("; ".join(grants) or str(holder["role"])) + (
        f" ({', '.join(scopes)} only)" if scopes else ""
    )
