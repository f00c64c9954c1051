"""Where the cluster is and what opens it: `--url`, `--token`, `--ca`, environment, a node's own files.

The admin token that a node left on this machine is sent to loopback addresses only: whoever
answers elsewhere must not get it because of a mistyped URL. The authority that it left is trusted
besides the system's; one that is given is trusted alone.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from croncord.config import HTTP_PORT, default_data_dir, is_loopback
from croncord.errors import ConfigError

DEFAULT_URL = f"http://127.0.0.1:{HTTP_PORT}"


@dataclass(frozen=True)
class Connection:
    """Nodes to try in turn, and the tokens for them."""

    urls: tuple[URL, ...]
    token: str
    """Sent to every url; empty when none was given."""
    local_token: str = ""
    """The admin token of this machine's node, sent to loopback urls when `token` is empty."""
    tls: ssl.SSLContext | None = None
    """Whose certificates are trusted; None for the system's authorities."""

    def token_for(self, url: URL) -> str:
        """Return what to send to that node; empty for nothing."""
        return self.token or (self.local_token if is_loopback(url.host or "") else "")


def find_connection(
    url: str | None, token: str | None, environment: Mapping[str, str], ca: str | None = None
) -> Connection:
    """Return the connection that the options and the environment name.

    Raises ConfigError for an address that is none and for a file that cannot be read.
    """
    data_dir = _data_dir(environment)
    local_ca = data_dir / "ca.pem"
    has_local_ca = _is_there(local_ca)
    default = DEFAULT_URL.replace("http:", "https:") if has_local_ca else DEFAULT_URL
    given = url or environment.get("CRONCORD_URL") or default
    urls = tuple(_address(part.strip()) for part in given.split(",") if part.strip())
    if not urls:
        raise ConfigError(f"{given!r} names no address", hint=f"For instance {DEFAULT_URL}.")
    chosen = token or environment.get("CRONCORD_TOKEN") or ""
    if not chosen and (file := environment.get("CRONCORD_TOKEN_FILE")):
        chosen = _read_token(Path(file))
    local = "" if chosen else _local_admin_token(data_dir)
    tls = None
    if any(url.scheme == "https" for url in urls):
        given_ca = ca or environment.get("CRONCORD_CA_FILE")
        tls = _trust(Path(given_ca), alone=True) if given_ca else None
        if tls is None and has_local_ca:
            tls = _trust(local_ca, alone=False)
    return Connection(
        urls=urls, token=_check_token(chosen), local_token=_check_token(local), tls=tls
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # another user's directory


def _trust(path: Path, *, alone: bool) -> ssl.SSLContext:
    try:
        if alone:
            return ssl.create_default_context(cafile=path)
        context = ssl.create_default_context()
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(
            f"ca: {path} holds no certificate", hint="It begins with BEGIN CERTIFICATE."
        ) from None
    except OSError as e:
        raise ConfigError(
            f"ca: cannot read {path}: {_why(e)}", hint="See --ca and CRONCORD_CA_FILE."
        ) from e
    return context


def _data_dir(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("CRONCORD_DATA_DIR") or default_data_dir(environment))


def _address(text: str) -> URL:
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"{text!r} is not the address of a node",
            hint=f"Write it with its scheme, for instance {DEFAULT_URL}.",
        )
    return url.origin()


def _read_token(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(
            f"cannot read the token file {path}: {_why(e)}", hint="See CRONCORD_TOKEN_FILE."
        ) from e


def _local_admin_token(data_dir: Path) -> str:
    """Read the admin token of this machine's node, if there is one and it may be read."""
    try:
        return (data_dir / "admin.token").read_text("utf-8").strip()
    except OSError:
        return ""  # no node here, or another user's: the answer to the call will say what to do


def _check_token(token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            "the token holds characters that no token has",
            hint="Copy it again; it is one word of letters, digits and signs.",
        )
    return token


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not text"
