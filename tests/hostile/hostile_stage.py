"""Three real nodes, everything that can be theirs, and everybody who would do them harm."""

import contextlib
import http.client
import select
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
from fleet import Fleet, FleetNode, wait_for
from hostile_markup import FIELDS, NODE_LABEL, NODE_NAME, RUN_ENVIRONMENT, SCRIPT, mark

from croncord.peer_auth import PeerSigner

SECRET = b"a secret for tests only, 32 chars"
PASSWORD = "a password for tests"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
STEP = 1 << 20


class HostileFleet(Fleet):
    """Three nodes, one of them with markup for a name and a label."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        last = self.nodes[-1]
        plain, last.name = last.name, NODE_NAME
        for node in self.nodes:
            arguments = [word.replace(f"{plain}=", f"{NODE_NAME}=") for word in node._arguments]
            node._arguments = arguments
        last.data_dir = directory / "n3"
        last._arguments = [*last._arguments, "--label", NODE_LABEL]


@dataclass
class Stage:
    """What the rows of the table are tried on."""

    fleet: HostileFleet
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    """Headers of everybody who may knock, by what they are."""
    cookie_name: str = ""
    csrf: str = ""
    long_run: str = ""
    """A run that is in hand all the time."""

    @property
    def node(self) -> FleetNode:
        return self.fleet.nodes[0]

    def http(self, method, path, body=None, *, who="nobody", node=None, **headers):
        """Ask one node as somebody; returns status, headers and body."""
        sent = {**self.credentials[who], **{k.replace("_", "-"): v for k, v in headers.items()}}
        connection = http.client.HTTPConnection(address_of(node or self.node), timeout=30)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def page(self, path):
        """Return a page as an admin sees it."""
        status, headers, body = self.http("GET", path, who="admin session")
        return status, headers, body.decode()

    def form(self, path, fields, *, who="admin session"):
        """Send a form with the session's CSRF token."""
        body = urlencode([("csrf_token", self.csrf), *fields.items()])
        return self.http("POST", path, body, who=who, **FORM)

    def change(self, method, path, body):
        """Call the API as a browser does that is signed in."""
        csrf = {"X-CSRF-Token": self.csrf}
        return self.http(method, path, body, who="admin session", **JSON, **csrf)

    def signed(self, method, target, body=b"", *, secret=SECRET, to=None, age_seconds=0, nonce=""):
        """Return the headers with which a node would call another."""
        now_ms = (time.time_ns() // 1_000_000) - age_seconds * 1000
        return PeerSigner(secret).headers(
            method,
            (to or self.node).url,
            target,
            body=body,
            now_ms=now_ms,
            nonce=nonce or str(time.monotonic_ns()),
        )

    def facts(self):
        """Return everything that was agreed, as each node has it, and the rows of its history."""
        told = {}
        for node in self.fleet.nodes:
            cluster = node.get("/api/v1/cluster?stale=allow")
            told[node.name] = {
                "digest": cluster["digest"],
                **{
                    what: node.call("GET", f"/api/v1/{what}?limit=1000&stale=allow").body
                    for what in ("jobs", "runs", "calendars", "views")
                },
                **{
                    what: node.call("GET", f"/api/v1/{what}").body
                    for what in ("users", "tokens", "secrets", "notifications/settings")
                },
            }
        return told


def address_of(node):
    return node.url.removeprefix("http://")


def port_of(address):
    return int(address.rpartition(":")[2])


def memory_of(node, what):
    """Return `VmRSS`, or the peak `VmHWM`, of a node's process, in bytes."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


def forget_peak(node):
    """Have the peak of a node's memory counted from now on; see proc(5), clear_refs."""
    Path(f"/proc/{node.process.pid}/clear_refs").write_text("5")


def send_raw(address, data, *, patience_seconds=15.0):
    """Send bytes and return what is answered; says that no more will come after a while."""
    with socket.create_connection(("127.0.0.1", port_of(address)), timeout=15) as sock:
        with contextlib.suppress(OSError):  # closed already; what was answered can still be read
            sock.sendall(data)
        with contextlib.suppress(OSError):
            if not select.select([sock], [], [], patience_seconds)[0]:
                sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def read_all(sock):
    answer = b""
    try:
        while piece := sock.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def send_endlessly(address, head, piece, size):
    """Send a body of `size` bytes for as long as the node takes it; returns answer and what it took."""
    with socket.create_connection(("127.0.0.1", port_of(address)), timeout=30) as sock:
        sock.sendall(head)
        taken = 0
        try:
            while taken < size:
                sock.sendall(piece)
                taken += len(piece)
        except OSError:
            pass  # the node has closed the connection
        try:
            return sock.recv(65536), taken
        except ConnectionResetError:
            return b"", taken


@contextmanager
def strangers(address, count, begun=b""):
    """Keep connections open that have sent only the beginning of something."""
    sockets = [
        socket.create_connection(("127.0.0.1", port_of(address)), timeout=30) for _ in range(count)
    ]
    try:
        for each in sockets:
            each.sendall(begun)
        yield sockets
    finally:
        for each in sockets:
            each.close()


def set_up(fleet):
    """Fill the cluster with what must not be lost, let people in, and wait until it is quiet."""
    stage = Stage(fleet)
    node = stage.node
    for each in FIELDS:
        each.put(node)
    run = node.post(f"/api/v1/jobs/{quote(mark('job-name'))}/run", {"environment": RUN_ENVIRONMENT})
    node.post("/api/v1/jobs", {"name": "long", "script": "sleep 600\n"})
    node.post("/api/v1/jobs", {"name": "fine", "script": "echo fine\n", "tags": ["team-a"]})
    node.post("/api/v1/jobs", {"name": "bench", "script": SCRIPT, "target": {"every_node": True}})
    stage.long_run = node.post("/api/v1/jobs/long/run")["id"]
    fleet.wait_run(run["id"])
    fleet.wait_run(stage.long_run, "running")
    for name, role in (("ada", "admin"), ("oda", "operator"), ("vic", "viewer")):
        node.post("/api/v1/users", {"name": name, "password": PASSWORD, "role": role})
    stage.credentials = _credentials(node)
    for who, name in (("admin session", "ada"), ("viewer session", "vic")):
        _sign_in(stage, who, name)
    view = f"/api/v1/views/jobs/{quote(mark('view'))}"
    query = msgspec.json.encode({"query": f"q={quote(mark('view-query'))}"})
    assert stage.change("PUT", view, query)[0] == 200
    wait_for(lambda: _is_quiet(fleet), 30, "all nodes to have applied the same")
    return stage


def _credentials(node):
    """Return headers for everybody but those who have a session."""
    made = {}
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    for who, fields in {
        "admin": {"role": "admin"},
        "operator": {"role": "operator"},
        "viewer": {"role": "viewer"},
        "reader": {"role": "admin", "scopes": ["read"]},
        "team-a": {"grants": [{"role": "operator", "tags": ["team-a"]}]},
        "expired": {"role": "admin", "expires_at": soon},
        "revoked": {"role": "admin"},
    }.items():
        made[who] = node.post("/api/v1/tokens", {"name": who, **fields})
    gone = node.call("DELETE", f"/api/v1/tokens/{made['revoked']['id']}")
    assert gone.status == 204
    bearer = {who: {"Authorization": f"Bearer {it['token']}"} for who, it in made.items()}

    def is_over():
        with contextlib.closing(http.client.HTTPConnection(address_of(node), timeout=10)) as asked:
            asked.request("GET", "/api/v1/me", None, bearer["expired"])
            return asked.getresponse().status == 401

    wait_for(is_over, 20, "the token to expire")
    return {
        "nobody": {},
        "wrong": {"Authorization": "Bearer croncord_0000000000000000000000000000000000000000000"},
        "basic": {"Authorization": "Basic YWRhOmEgcGFzc3dvcmQgZm9yIHRlc3Rz"},
        **bearer,
    }


def _sign_in(stage, who, name):
    body = urlencode({"name": name, "password": PASSWORD})
    status, headers, _ = stage.http("POST", "/login", body, **FORM)
    assert status == 303
    cookie = headers["Set-Cookie"].partition(";")[0]
    stage.cookie_name = cookie.partition("=")[0]
    stage.credentials[who] = {"Cookie": cookie}
    if who == "admin session":
        page = stage.page("/runs")[2]
        stage.csrf = page.partition('name="csrf_token" value="')[2].partition('"')[0]


def _is_quiet(fleet):
    told = {node.get("/api/v1/cluster?stale=allow")["digest"] for node in fleet.nodes}
    return len(told) == 1
