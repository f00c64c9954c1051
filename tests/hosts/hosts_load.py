"""Clients of every node at once, noting what they asked for and what they were told.

    python hosts_load.py ORDER

ORDER is a JSON file: {"nodes": {name: URL}, "prefix": …, "token": …, "notes": file, "stop": file,
"pause": seconds}.
One client for each node creates jobs with names of their own, starts runs with keys of their own
and deletes some of its jobs, until the file "stop" exists. Each request becomes a line of JSON in
"notes". What got no clear answer is asked again of the next node (by every other client, until it
is answered) or left unknown. Runs alone: no third-party package and no other file of the tests.
"""

import json
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from itertools import count
from pathlib import Path

REQUEST_SECONDS = 10
CLEAR = (200, 201, 202, 204, 409)


class Client(threading.Thread):
    """Talks to one node; to the others only to repeat what had no answer."""

    def __init__(self, name: str, order: dict, *, insists: bool) -> None:
        super().__init__(name=name)
        self._order = order
        self._trust = ssl.create_default_context(cafile=order["ca"])
        self._insists = insists
        self._names = [name, *(other for other in order["nodes"] if other != name)]
        self._notes = Path(order["notes"] + f".notes-{name}").open("a", encoding="utf-8")  # noqa: SIM115 - open as long as it lives
        self._until = Path(order["stop"])

    def run(self) -> None:
        for n in count():
            if self._until.exists():
                break
            name = f"{self._order['prefix']}-{self.name}-{n:05}"
            job = {"name": name, "script": "true\n", "schedule": "@manual"}
            created = self._ask("create", name, "POST", "/api/v1/jobs", job)
            if n % 3 == 1:
                body = {"idempotency_key": name, "environment": {"KEY": name}}
                self._ask("run", name, "POST", "/api/v1/jobs/keyed/run", body)
            if n % 5 == 4 and created:
                self._ask("delete", name, "DELETE", f"/api/v1/jobs/{name}")
            time.sleep(self._order["pause"])
        self._notes.close()

    def _ask(self, kind: str, key: str, method: str, path: str, body=None) -> bool:
        """Ask, insist if that is its way; returns whether there was a clear answer."""
        for n in count():
            node = self._names[n % len(self._names)]
            began = time.time()
            status, answer = self._call(node, method, path, body)
            repeated = method == "DELETE" and n > 0 and status == 404
            clear = status in CLEAR or repeated
            note = {"kind": kind, "key": key, "node": node, "status": status, "clear": clear}
            note |= {"first": n == 0, "began": began, "ended": time.time()}
            note |= {"id": answer.get("id"), "outcome": answer.get("outcome")}
            self._notes.write(json.dumps(note) + "\n")
            self._notes.flush()
            if clear or not self._insists:
                return clear
            time.sleep(self._order["pause"])
        return False

    def _call(self, node: str, method: str, path: str, body) -> tuple[int, dict]:
        data = None if body is None else json.dumps(body).encode()
        url = self._order["nodes"][node] + path
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - the lab's own nodes
        request.add_header("Authorization", f"Bearer {self._order['token']}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(  # noqa: S310 - as above
                request, timeout=REQUEST_SECONDS, context=self._trust
            ) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {}
        except (OSError, ValueError):  # no answer, or one that broke off: nothing is known
            return 0, {}


def main() -> None:
    """Read the order and be its clients."""
    order = json.loads(Path(sys.argv[1]).read_text())
    clients = [Client(name, order, insists=n % 2 == 0) for n, name in enumerate(order["nodes"])]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


if __name__ == "__main__":
    main()
