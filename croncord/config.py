"""The settings of a node, and what makes them impossible. Default < file < environment < flag."""

import ipaddress
import os
import socket
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from croncord.errors import ConfigError
from croncord.model import LogLevel, Name

HTTP_PORT = 8470
RAFT_PORT = 8471
SECRET_CHARACTERS_MIN = 16
_WEB = ("http://", "https://")
_LISTS = ("peer", "join", "label", "notify_command")


class Peer(msgspec.Struct, frozen=True):
    """A member of a fixed initial group."""

    name: str
    raft: str
    http: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `croncord serve` can be told."""

    name: str
    data_dir: Path
    http: str = f"127.0.0.1:{HTTP_PORT}"
    raft: str = f"127.0.0.1:{RAFT_PORT}"
    advertise_http: str = ""
    advertise_raft: str = ""
    peer: tuple[str, ...] = ()
    """NAME=RAFT_ADDR,HTTP_URL of every member of the initial group, this node included."""
    join: tuple[str, ...] = ()
    """Web addresses of members of a running cluster that this node is to join."""
    join_token: str = ""
    """Has no flag: other users of the machine can read the command line."""
    join_token_file: Path | None = None
    secret_file: Path | None = None
    accept_secret_file: Path | None = None
    """Another cluster secret that is accepted besides, while the secret is being changed."""
    tls_cert: Path | None = None
    """Certificate, key and authority of `croncord cluster init-tls`, all three or none.

    A node that joins is told the authority.
    """
    tls_key: Path | None = None
    tls_ca: Path | None = None
    tls_mode: Literal["require", "allow"] = "require"
    """`allow` while a running cluster moves to TLS: others may still speak without it."""
    bootstrap_token_file: Path | None = None
    role: Literal["auto", "voter", "observer"] = "auto"
    label: tuple[str, ...] = ()
    max_runs: int = 0
    notify_command: tuple[str, ...] = ()
    """NAME=PATH of each program that notices may be given to on this node."""
    output_bytes: int = 0
    """On this node's disk; 0 is half of its file system."""
    log_level: LogLevel = "info"
    log_format: Literal["text", "json"] = "text"

    def read_join_token(self) -> str:
        """Return the join token that was given, if any. Raises ConfigError."""
        if self.join_token_file is None:
            return self.join_token.strip()
        try:
            return self.join_token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"join_token_file: {self.join_token_file}: {error}") from None

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The fixed initial group; empty for a cluster of one."""
        return tuple(parse_peer(text) for text in self.peer)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of this node."""
        return dict(split_pair(text, "label") for text in self.label)

    @property
    def notify_commands(self) -> dict[str, str]:
        """Programs that notices may be given to, by name."""
        return dict(split_pair(text, "notify_command") for text in self.notify_command)

    @property
    def http_url(self) -> str:
        """Where other nodes and browsers reach this node."""
        mine = next((peer for peer in self.peers if peer.name == self.name), None)
        if self.advertise_http:
            given = self.advertise_http.rstrip("/")
        elif self.tls_cert is not None and self.tls_mode == "allow":
            # Nodes that have no certificate yet must be able to call it.
            return with_scheme(mine.http if mine else f"http://{self.http}", "http")
        else:
            given = mine.http if mine else f"http://{self.http}"
        is_https_only = self.tls_cert is not None and self.tls_mode == "require"
        return with_scheme(given, "https") if is_https_only else given

    @property
    def raft_address(self) -> str:
        """Where other nodes reach this node's Raft port."""
        mine = next((peer for peer in self.peers if peer.name == self.name), None)
        if self.advertise_raft:
            return self.advertise_raft
        return mine.raft if mine else self.raft


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Return the state directory of whoever runs the program."""
    if os.geteuid() == 0:
        return Path("/var/lib/croncord")
    home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "croncord"


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None
) -> Settings:
    """Merge the sources and check the result. Raises ConfigError naming the setting."""
    merged: dict[str, Any] = {
        "name": socket.gethostname(),
        "data_dir": str(default_data_dir(environment)),
    }
    merged |= _from_file(config_file)
    merged |= _from_environment(environment)
    merged |= {key: value for key, value in flags.items() if value is not None}
    _listen_towards(merged)
    try:
        settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}") from None
    check(settings)
    return settings


def _listen_towards(merged: dict[str, Any]) -> None:
    """Listen on the address that faces the cluster to be joined, unless one was given."""
    urls = merged.get("join") or ()
    ports = {"http": HTTP_PORT, "raft": RAFT_PORT}
    missing = {key: port for key, port in ports.items() if key not in merged}
    if not urls or not missing or isinstance(urls, str):
        return
    host = _address_towards(urls[0])
    if host:
        merged |= {key: f"{host}:{port}" for key, port in missing.items()}


def _address_towards(url: str) -> str:
    """Return this machine's own address on the way to a node; nothing is sent."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or HTTP_PORT
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            own: str = probe.getsockname()[0]
    except (OSError, ValueError):
        return ""  # the defaults stay; the cluster says what is wrong with them
    return f"[{own}]" if ":" in own else own


def _path(kind: type, value: Any) -> Any:
    if kind is Path or isinstance(value, Path):
        return Path(value).absolute()  # what a node starts works in other directories
    raise NotImplementedError(f"{kind} cannot be read from a setting")


def _from_file(config_file: Path | None) -> dict[str, Any]:
    if config_file is None:
        return {}
    try:
        found = tomllib.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{config_file}: {error}") from None
    named = {key.replace("-", "_"): value for key, value in found.items()}
    unknown = sorted(named.keys() - set(Settings.__struct_fields__))
    if unknown:
        raise ConfigError(
            f"{config_file}: unknown setting {unknown[0]!r}",
            hint=f"The settings are {', '.join(Settings.__struct_fields__)}.",
        )
    return named


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in Settings.__struct_fields__:
        value = environment.get(f"CRONCORD_{field.upper()}")
        if value is not None:
            found[field] = value.split() if field in _LISTS else value
    return found


def parse_peer(text: str) -> Peer:
    """Read NAME=RAFT_ADDR,HTTP_URL."""
    name, address = split_pair(text, "peer")
    raft, comma, http = address.partition(",")
    if not comma or not http.startswith(_WEB):
        raise ConfigError(
            f"peer: {text!r} is not NAME=RAFT_ADDR,HTTP_URL",
            hint="For instance n1=10.0.0.1:8471,http://10.0.0.1:8470",
        )
    split_address(raft, "peer")
    return Peer(name, raft, http.rstrip("/"))


def split_pair(text: str, setting: str) -> tuple[str, str]:
    """Read KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise ConfigError(f"{setting}: {text!r} is not KEY=VALUE")
    return key, value


def split_address(text: str, setting: str) -> tuple[str, int]:
    """Read HOST:PORT, with brackets around an IPv6 host."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"{setting}: {text!r} is not HOST:PORT", hint="For instance 127.0.0.1:8470"
        )
    return host.strip("[]"), int(port)


def with_scheme(url: str, scheme: Literal["http", "https"]) -> str:
    """Return the address with that scheme and the same port, also where the port was left out."""
    parts = urlsplit(url)
    if parts.scheme == scheme:
        return url
    default = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc if parts.port else f"{parts.netloc}:{default}"
    return parts._replace(scheme=scheme, netloc=host).geturl()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. Names other than localhost count as no."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check(settings: Settings) -> None:
    """Raise ConfigError for settings that cannot work together."""
    hosts = {
        "http": split_address(settings.http, "http")[0],
        "raft": split_address(settings.raft, "raft")[0],
    }
    if settings.http == settings.raft:
        raise ConfigError(
            f"http and raft are both {settings.http}", hint="Give each a port of its own."
        )
    _check_group(settings)
    exposed = sorted(key for key, host in hosts.items() if not is_loopback(host))
    has_secret = settings.secret_file or settings.join or _has_secret(settings.data_dir)
    if not has_secret and (exposed or len(settings.peers) > 1):
        why = f"{exposed[0]} is {getattr(settings, exposed[0])}" if exposed else "there are peers"
        raise ConfigError(
            f"{why}, and there is no cluster secret",
            hint="Make one with: head -c 32 /dev/urandom | base64 > secret; chmod 600 secret; "
            "then start every node with --secret-file secret.",
        )
    _check_tls(settings)
    _ = settings.labels
    if wrong := [path for path in settings.notify_commands.values() if not path.startswith("/")]:
        raise ConfigError(
            f"notify_command: {wrong[0]!r} is no absolute path",
            hint="For instance page=/usr/local/bin/page-oncall",
        )
    _check_counts(settings)


def _check_counts(settings: Settings) -> None:
    for name, nothing in (("max_runs", "no limit"), ("output_bytes", "half of the file system")):
        if getattr(settings, name) < 0:
            raise ConfigError(f"{name} is {getattr(settings, name)}; it is 0 ({nothing}) or more")


def _check_group(settings: Settings) -> None:
    """Raise ConfigError for a name or a group that cannot be."""
    peers = settings.peers
    _check_names(settings.name, [peer.name for peer in peers])
    if settings.join and peers:
        raise ConfigError(
            "join and peer exclude each other",
            hint="A fixed group starts with --peer; a machine that comes later uses --join.",
        )
    wrong = [url for url in settings.join if not url.startswith(("http://", "https://"))]
    if wrong:
        raise ConfigError(
            f"join: {wrong[0]!r} is no web address", hint="For instance http://10.0.0.1:8470"
        )


def _check_names(own: str, peers: Sequence[str]) -> None:
    for name in (own, *peers):
        try:
            msgspec.convert(name, Name)
        except msgspec.ValidationError:
            raise ConfigError(
                f"name: {name!r} cannot be the name of a node",
                hint="It has 1 to 128 characters and neither / nor control characters.",
            ) from None
    if len(set(peers)) < len(peers):
        raise ConfigError("peer: a name appears twice", hint="Every member needs its own name.")
    if peers and own not in peers:
        raise ConfigError(
            f"name is {own!r}, but the peers are {', '.join(peers)}",
            hint="Name this node like one of the peers, and list it among them too.",
        )


def _has_secret(data_dir: Path) -> bool:
    """Whether this node has a cluster secret of its own, made here or got on joining."""
    return (data_dir / "cluster.secret").exists()


def _check_tls(settings: Settings) -> None:
    files = {key: getattr(settings, key) for key in ("tls_cert", "tls_key", "tls_ca")}
    missing = [key for key, path in files.items() if path is None]
    given = [key for key in files if key not in missing]
    is_told = bool(settings.join) or (settings.data_dir / "cluster-ca.pem").exists()
    if given and missing and not (missing == ["tls_ca"] and is_told):
        raise ConfigError(
            f"{given[0]} is given, and {' and '.join(missing)} {_is_or_are(missing)} not",
            hint="All three or none; croncord cluster init-tls makes them.",
        )
    if not given and settings.tls_mode == "allow":
        raise ConfigError(
            "tls_mode is allow, and there is no certificate",
            hint="Give tls_cert, tls_key and tls_ca; croncord cluster init-tls makes them.",
        )
    if settings.advertise_http and not settings.advertise_http.startswith(_WEB):
        raise ConfigError(
            f"advertise_http: {settings.advertise_http!r} is no web address",
            hint="For instance https://n1.example.com:8470",
        )


def _is_or_are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def read_secret(path: Path, setting: str = "secret_file") -> bytes:
    """Return the cluster secret. Raises ConfigError when it is missing, short or open to others."""
    try:
        text = path.read_text(encoding="ascii").strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {path}: {error}") from None
    if mode & 0o077:
        raise ConfigError(
            f"{setting}: {path} can be read by others (mode {mode & 0o777:o})",
            hint=f"chmod 600 {path}",
        )
    if len(text) < SECRET_CHARACTERS_MIN:
        raise ConfigError(
            f"{setting}: {path} holds {len(text)} characters; "
            f"at least {SECRET_CHARACTERS_MIN} are needed"
        )
    return text.encode()
