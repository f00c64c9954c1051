"""What a row of the table is, and how its answer is read.

A row's `send` returns what came back: a status, or `closed`, `harmless` and the like.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hostile_stage import JSON

JOBS = "/api/v1/jobs"
A_JOB = {"name": "intruder", "script": "true\n"}
HEAD = "POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Row:
    """One hostile input."""

    name: str
    port: str
    send: Callable[[Any], object]
    answers: frozenset[object]


def row(name, port, send, *answers):
    return Row(name, port, send, frozenset(answers))


def status_of(answer):
    if not answer:
        return "closed"
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else "something else"


def by(who, method, path, fields=None, **headers):
    body = None if fields is None else json.dumps(fields)
    kind = {} if fields is None else JSON

    def send(stage):
        return stage.http(method, path, body, who=who, **kind, **headers)[0]

    return send
