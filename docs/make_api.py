"""Write docs/api.md from the OpenAPI document: `python docs/make_api.py`. A test sees that it is current."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from croncord.web.api.openapi import describe
from croncord.web.api.table import ENDPOINTS

PAGE = Path(__file__).parent / "api.md"
Json = dict[str, Any]

INTRODUCTION = """\
# HTTP API

Made by `docs/make_api.py` from the document that every node serves at `/api/v1/openapi.json`; do not
edit it by hand.

JSON in UTF-8. Times are ISO 8601 with `Z` and milliseconds. Unknown fields are an error. Every node
answers every call: changes and reads go to the leader. Without a leader reads are answered from the
node's own copy, with `Croncord-Stale: SECONDS`, and changes get 503 with `Retry-After`;
`?stale=allow` reads the own copy on purpose. Every answer says `Croncord-Node` and `Croncord-Leader`.

```
curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8470/api/v1/jobs
```

A change with an `Idempotency-Key` may be repeated: it happens once and gives the first answer. What
was refused is `application/problem+json` (see [Problem](#problem)): 400 malformed, 401, 403, 404, 405,
409 conflict, 412 version changed, 413 too large, 415, 422 a field is wrong, 429, 503 no leader or not
ready, 504 the outcome is not known.
"""


def page() -> str:
    """Return the whole page."""
    document = describe(ENDPOINTS)
    operations = [
        (path, method.upper(), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [INTRODUCTION, "## Calls\n"]
    ordered = sorted(
        enumerate(operations), key=lambda each: (_rank(operations, each[1][0]), each[0])
    )
    for noun, group in groupby((each for _, each in ordered), key=lambda each: _noun(each[0])):
        parts.append(f"### {noun}\n")
        parts += [_call(path, method, operation) for path, method, operation in group]
    parts.append("## Shapes\n")
    schemas = document["components"]["schemas"]
    parts += [_shape(name, schemas[name]) for name in sorted(schemas)]
    return "\n".join(parts)


def _noun(path: str) -> str:
    words = path.removeprefix("/api/v1").split("/")
    return words[1].partition(":")[0] if path.startswith("/api/v1") else "health and metrics"


def _rank(operations: list[tuple[str, str, Json]], path: str) -> int:
    """Return where a path's noun comes first, so that its calls stand together."""
    return next(i for i, (other, _, _) in enumerate(operations) if _noun(other) == _noun(path))


def _call(path: str, method: str, operation: Json) -> str:
    role = operation.get("description", "Anybody may ask.")
    lines = [f"#### `{method} {path}`\n", f"{operation['summary']}. {role}\n"]
    for parameter in operation["parameters"]:
        if parameter["in"] == "query":
            must = "; must be given" if parameter["required"] else ""
            lines.append(f"- `?{parameter['name']}=` {_type(parameter['schema'])}{must}")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"- body: {_content(media, content)}")
    for status, answer in operation["responses"].items():
        if status != "default":
            found = [_content(media, each) for media, each in answer.get("content", {}).items()]
            lines.append(f"- {status}: {' or '.join(found) or 'no body'}")
    return "\n".join(lines) + "\n"


def _content(media: str, content: Json) -> str:
    if "schema" not in content:
        return "bytes" if media == "*/*" else f"`{media}`"
    told = _type(content["schema"])
    return told if media == "application/json" else f"{told} as `{media}`"


def _shape(name: str, schema: Json) -> str:
    lines = [f"### {name}\n"]
    if about := schema.get("description", ""):
        lines.append(" ".join(about.split()) + "\n")
    if "properties" not in schema:
        return "\n".join([*lines, f"{_type(schema)}\n"])
    lines += ["| field | type | |", "|---|---|---|"]
    required = schema.get("required", [])
    lines += [
        f"| `{field}` | {_type(each)} | {_note(each, must=field in required)} |"
        for field, each in schema["properties"].items()
    ]
    return "\n".join(lines) + "\n"


def _note(schema: Json, *, must: bool) -> str:
    if must:
        return "required"
    default = schema.get("default", "")
    return f"default `{_plain(default)}`" if "default" in schema and "$ref" not in schema else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " \\| ".join(f"`{_plain(value)}`" for value in schema["enum"])
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in options)
    return _simple(schema) + _bounds(schema)


def _simple(schema: Json) -> str:
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(schema.get('items') or {})}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict) and values:
        return f"object of {_type(values)}"
    return {"string": "time" if schema.get("format") == "date-time" else "text"}.get(kind, kind)


def _bounds(schema: Json) -> str:
    kinds: tuple[tuple[str, str, str], ...] = (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
    )
    told: Iterator[str] = (
        f" ({_range(schema.get(low), schema.get(high))}{unit})"
        for low, high, unit in kinds
        if low in schema or high in schema
    )
    return "".join(told)


def _range(low: Any, high: Any) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
