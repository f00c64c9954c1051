"""What a user or token may, as text in a form: one line per role and its tags. Pure.

operator: team-a, team-b
viewer: *
"""

from collections.abc import Iterable, Mapping
from typing import Any

from croncord.errors import FieldError, Invalid

_EVERY = "*"


def grants_from(text: str) -> list[dict[str, Any]]:
    """Read the lines. Raises Invalid naming the line that is none."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        role, colon, tags = line.partition(":")
        words = words_from(tags)
        if not colon or role.strip() not in ("viewer", "operator") or not words:
            message = f"line {number} is not like `operator: team-a, team-b` or `viewer: *`"
            raise Invalid([FieldError("grants", message)])
        found.append({"role": role.strip(), "tags": [] if words == [_EVERY] else words})
    return found


def grants_text(grants: Iterable[Mapping[str, Any]]) -> str:
    """Write grants as the form has them."""
    return "\n".join(f"{it['role']}: {', '.join(it['tags']) or _EVERY}" for it in grants)


def grants_words(holder: Mapping[str, Any]) -> str:
    """Say what somebody may, in a few words."""
    grants = [f"{it['role']} of {', '.join(it['tags']) or 'all jobs'}" for it in holder["grants"]]
    return "; ".join(grants) or str(holder["role"])


def reach_from(post: Mapping[str, Any]) -> dict[str, Any]:
    """Return the API's fields: grants where there are some, else the role."""
    grants = grants_from(str(post.get("grants", "")))
    return {"grants": grants} if grants else {"role": str(post.get("role", ""))}


def words_from(text: str) -> list[str]:
    """Read words with commas between them."""
    return [word.strip() for word in text.split(",") if word.strip()]
