"""Rows: requests that are odd, too large or too slow."""

import gzip
import pickle
from urllib.parse import quote, urlencode

from hostile_stage import (
    FORM,
    JSON,
    PASSWORD,
    STEP,
    address_of,
    send_endlessly,
    send_raw,
    strangers,
)
from hostile_table import A_JOB, GIGABYTE, HEAD, JOBS, row, status_of

FORGED = "2026-01-01 00:00:00 INFO forged by a stranger"

LOGIN = "/login"


def raw(name, data, *answers):
    def send(stage):
        return status_of(send_raw(address_of(stage.node), data, patience_seconds=1))

    return row(name, "http", send, *answers)


def path(name, target, *answers):
    def send(stage):
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        token = stage.credentials["admin"]["Authorization"]
        answer = send_raw(
            address_of(stage.node), f"{head}Authorization: {token}\r\n\r\n".encode("latin-1")
        )
        assert b"root:" not in answer
        assert b"\r\nX-Forged" not in answer
        return status_of(answer)

    return row(name, "http", send, *answers)


def body(name, data, *answers, **headers):
    def send(stage):
        sent = data() if callable(data) else data
        return stage.http("POST", JOBS, sent, who="admin", **JSON, **headers)[0]

    return row(name, "http", send, *answers)


def after_signing_in(name, target):
    """Where a form leads after signing in must be here."""

    def send(stage):
        fields = urlencode({"name": "oda", "password": PASSWORD, "next": target})
        status, headers, _ = stage.http("POST", LOGIN, fields, **FORM)
        assert status == 303
        where = headers["Location"]
        assert headers.get("X-Forged") is None
        is_here = where.startswith("/") and not where.startswith(("//", "/\\"))
        return "harmless" if is_here else where

    return row(name, "http", send, "harmless")


def _log_line(stage):
    fields = urlencode({"name": f"eve\n{FORGED}\x1b[2J", "password": "x"})
    stage.http("POST", LOGIN, fields, **FORM)
    stage.http("GET", f"/api/v1/runs/{quote(f'x{chr(10)}{FORGED}')}", who="admin")
    return _log_is_clean(stage)


def _log_is_clean(stage):
    for node in stage.fleet.nodes:
        text = node.log.read_bytes()
        assert f"\n{FORGED}".encode() not in text
        assert b"\x1b" not in text
        assert b"\r" not in text
    return "harmless"


def bomb():
    return gzip.compress(bytes(200_000_000), 1)


ODD_REQUESTS = (
    path("a path out of the assets", "/static/../../../../etc/passwd", 400, 404),
    path("the same, escaped", "/static/x/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 400, 404),
    path("a job named like a path", f"{JOBS}/..%2f..%2f..%2fetc%2fpasswd", 404),
    path("a run named like a path", "/api/v1/runs/..%2f..%2fadmin.token/log", 404),
    path("a node named like a path", "/api/v1/nodes/..%2f..%2fetc", 404),
    path("a name with a zero byte", f"{JOBS}/%00", 404),
    path("a name that is no UTF-8", f"{JOBS}/%ff%fe", 400, 404),
    path("a name of a hundred thousand letters", f"{JOBS}/{'x' * 100_000}", 400, 404, 414),
    path("a header in a name", f"{JOBS}/x%0d%0aX-Forged:%20yes", 404),
    path("a header in a query", f"{JOBS}?q=%0d%0aX-Forged:%20yes", 200),
    path("a cursor that nobody gave", f"{JOBS}?cursor={'%ff' * 50}", 422),
    path("an order by what is no field", f"{JOBS}?sort=__class__", 422),
    path("a pattern that never ends", f"/api/v1/logs/search?regex=1&q={'(a*)*' * 50}b", 200, 422),
    path("a query for a database", f"{JOBS}?state=%27%20OR%201=1--", 422),
    after_signing_in("to a foreign page after signing in", "https://evil.example/"),
    after_signing_in("to a foreign page, scheme left out", "//evil.example/"),
    after_signing_in("to a foreign page, with a backslash", "/\\evil.example/"),
    after_signing_in("to a script after signing in", "javascript:alert(1)"),
    after_signing_in("a header where a page is named", "/jobs\r\nX-Forged: yes"),
    row("a line of its own in the log", "http", _log_line, "harmless"),
    raw("garbage", b"\x00\xff garbage\r\n\r\n", 400, "closed"),
    raw("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "closed"),
    raw("TLS on a port without", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "closed"),
    raw("a megabyte of header", f"{HEAD}X: {'x' * STEP}\r\n\r\n".encode(), 400, "closed"),
    raw("ten thousand headers", HEAD.encode() + b"X: y\r\n" * 10_000 + b"\r\n", 400, 401, "closed"),
    raw("a negative length", f"{HEAD}Content-Length: -1\r\n\r\n".encode(), 400),
    raw(
        "two lengths (smuggling)",
        f"{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456".encode(),
        400,
    ),
    raw(
        "a length and chunks (smuggling)",
        f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /".encode(),
        400,
    ),
    raw("a folded header", f"{HEAD}X: a\r\n Authorization: Bearer x\r\n\r\n".encode(), 400, 401),
    raw("two hosts", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400),
    body("JSON cut short", b'{"name": "a"', 400),
    body("JSON that is no object", b"[1]", 400),
    body("JSON nested a million deep", b"[" * STEP, 400),
    body("numbers that are none", b'{"name": "a", "script": "x", "nice": NaN}', 400),
    body("a number too large for all", b'{"name": "a", "script": "x", "nice": 1e400}', 400, 422),
    body("half of a character", b'{"name": "a", "script": "\\ud800"}', 400, 422),
    body("a zero byte in a name", b'{"name": "a\\u0000b", "script": "x"}', 422),
    body("a field that nobody has", b'{"name": "a", "script": "x", "__class__": "y"}', 422),
    body("a hundred thousand fields", b"{" + b",".join(b'"f%d":1' % n for n in range(99_999)) + b"}", 422),
    body("a zone that is a file", b'{"name":"a","script":"x","timezone":"../../etc/passwd"}', 422),
    body("a pickle where JSON belongs", pickle.dumps(A_JOB), 400),
    body("a bomb, gzip", bomb, 400, 413, Content_Encoding="gzip"),
    body("a bomb in a bomb", lambda: gzip.compress(bomb()), 400, 413, Content_Encoding="gzip"),
    body("packed as nobody packs", b"{}", 400, 415, 422, Content_Encoding="x-evil"),
)  # fmt: skip


def _huge_body(stage):
    token = stage.credentials["admin"]["Authorization"]
    head = f"{HEAD}Authorization: {token}\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {GIGABYTE}\r\n\r\n"
    answer, taken = send_endlessly(address_of(stage.node), head.encode(), b" " * STEP, GIGABYTE)
    assert taken <= GIGABYTE
    return status_of(answer)


def _huge_chunks(stage):
    token = stage.credentials["admin"]["Authorization"]
    head = f"{HEAD}Authorization: {token}\r\nContent-Type: application/json\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    piece = f"{STEP:x}\r\n".encode() + b" " * STEP + b"\r\n"
    answer, _ = send_endlessly(address_of(stage.node), head.encode(), piece, GIGABYTE)
    return status_of(answer)


def _huge_form(stage):
    head = f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    piece = f"{STEP:x}\r\n".encode() + b"x" * STEP + b"\r\n"
    answer, _ = send_endlessly(address_of(stage.node), head.encode(), piece, GIGABYTE)
    return status_of(answer)


def _huge_upload(stage):
    cookie = stage.credentials["admin session"]["Cookie"]
    head = f"POST /jobs/new HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    begun = b'--b\r\nContent-Disposition: form-data; name="upload"; filename="x"\r\n\r\n'
    head += f"{len(begun):x}\r\n{begun.decode()}\r\n"
    piece = f"{STEP:x}\r\n".encode() + b"x" * STEP + b"\r\n"
    answer, _ = send_endlessly(address_of(stage.node), head.encode(), piece, GIGABYTE)
    return status_of(answer)


def served_beside(begun, count=600):
    """Many connections that never finish what they began; others are served all the while."""

    def send(stage):
        with strangers(address_of(stage.node), count, begun):
            for _ in range(5):
                assert stage.http("GET", "/readyz")[0] == 200
                assert stage.http("GET", f"{JOBS}/fine", who="viewer")[0] == 200
        return "harmless"

    return send


def _guessing(stage):
    """Guess until told to wait. Last of its kind: the address has to wait from then on."""
    for number in range(20):
        fields = urlencode({"name": "ada", "password": f"guess {number}"})
        status, _, page = stage.http("POST", LOGIN, fields, **FORM)
        if status == 429:
            assert b"seconds, then try again" in page
            return status
        assert status == 401
    return "never slowed down"


TOO_MUCH = (
    row("a body of 1 GB, said beforehand", "http", _huge_body, 413, "closed"),
    row("a body of 1 GB in chunks", "http", _huge_chunks, 413, "closed"),
    row("a form of 1 GB from nobody", "http", _huge_form, 413, "closed"),
    row("a file of 1 GB from a form", "http", _huge_upload, 413, "closed"),
    row("600 strangers who say nothing", "http", served_beside(b""), "harmless"),
    row("600 slow heads (slow loris)", "http", served_beside(HEAD.encode() + b"X: "), "harmless"),
    row(
        "600 slow bodies",
        "http",
        served_beside(
            f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
            "Content-Length: 1000\r\n\r\nname=".encode()
        ),
        "harmless",
    ),
    row("guessing a password", "http", _guessing, 429),
)
