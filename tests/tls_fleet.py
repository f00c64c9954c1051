"""A cluster of real processes with certificates, made by the command that users have."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from fleet import TOKEN, Answer, Fleet


def croncord(*arguments, **environment):
    """Run the command line as a user would; returns the ended process."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CRONCORD_")}
    return subprocess.run(
        [sys.executable, "-m", "croncord", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean | environment,
    )


def init_tls(directory: Path, *arguments) -> None:
    """Make or renew certificates in a directory."""
    made = croncord("cluster", "init-tls", "--dir", directory, *arguments)
    assert made.returncode == 0, made.stderr


def arguments_of(directory: Path, name: str) -> list[str]:
    """Return the options with which a node uses its certificate in that directory."""
    node = directory / name
    files = {"cert": node / "cert.pem", "key": node / "key.pem", "ca": directory / "ca.pem"}
    return [word for kind, path in files.items() for word in (f"--tls-{kind}", str(path))]


class TlsFleet(Fleet):
    """Three nodes with certificates, unless told otherwise."""

    def __init__(self, directory: Path, *, certified: bool = True) -> None:
        super().__init__(directory)
        self.tls = directory / "tls"
        names = [word for node in self.nodes for word in ("--name", node.name)]
        init_tls(self.tls, *names)
        self.plain_arguments = {node.name: node._arguments for node in self.nodes}
        if certified:
            for node in self.nodes:
                self.certify(node)

    def certify(self, node, *arguments) -> None:
        """Have the node use its certificate from its next start on."""
        node._arguments = [
            *self.plain_arguments[node.name],
            *arguments_of(self.tls, node.name),
            *arguments,
        ]
        node.url = node.url.replace("http:", "https:" if not arguments else "http:")
        node.ca = self.tls / "ca.pem"

    def restart(self, node, *arguments) -> None:
        """Restart the node with its certificate, and wait until it takes part."""
        assert node.stop() == 0
        self.certify(node, *arguments)
        node.start()
        self.wait_ready()

    def curl(self, node, path, *options) -> Answer:
        """Ask with curl, as an operator would."""
        asked = subprocess.run(
            [
                *("curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}"),
                *("--cacert", str(self.tls / "ca.pem"), "-H", f"Authorization: Bearer {TOKEN}"),
                *options,
                node.url + path,
            ],
            capture_output=True,
            check=False,
        )
        assert asked.returncode == 0, asked.stderr
        body, _, status = asked.stdout.rpartition(b"\n")
        return Answer(int(status), {}, body)


def refuses_plain_http(url: str) -> str:
    """Ask an HTTPS port without TLS; returns what it says."""
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(url.replace("https:", "http:"), timeout=5)  # noqa: S310
    return refused.value.read().decode()
