"""What a running node takes up without a restart: its certificate and its log level.

HUP reads both again. A certificate that nears its end is complained about once a day.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from croncord.clock import Clock
from croncord.config import Settings
from croncord.daemon_log import configure_log
from croncord.errors import ConfigError, CronCordError
from croncord.figures import Family, gauge
from croncord.service_manager import ServiceManager
from croncord.tls.certificate import Identity, TlsFiles
from croncord.tls.identity import WARN_SECONDS, NodeTls

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 86400.0
_DAY_SECONDS: Final = 86400


def node_tls(settings: Settings, clock: Clock, *, told_authority: Path) -> NodeTls | None:
    """Return this node's certificate in use; None without one, or before its authority is known.

    `told_authority` is where a node that joined keeps what it was told. Raises ConfigError.
    """
    authority = settings.tls_ca or (told_authority if told_authority.exists() else None)
    if settings.tls_cert is None or settings.tls_key is None or authority is None:
        return None
    files = TlsFiles(cert=settings.tls_cert, key=settings.tls_key, ca=authority)
    identity = Identity(name=settings.name, host=urlsplit(settings.http_url).hostname or "")
    return NodeTls(files, identity, clock.now(), required=settings.tls_mode == "require")


def leave_authority(data_dir: Path, tls: NodeTls | None) -> None:
    """Leave the authority for the command line on this machine; take it away without TLS.

    That it is there tells the command line to speak HTTPS.
    """
    path = data_dir / "ca.pem"
    if tls is None or not tls.required:
        path.unlink(missing_ok=True)
        return
    aside = path.with_name("ca.pem.new")
    aside.write_text(tls.authority, encoding="ascii")
    aside.replace(path)


class Renewal:
    """Follows HUP, and the certificate's age."""

    def __init__(
        self,
        *,
        data_dir: Path,
        reread: Callable[[], Settings] | None,
        clock: Clock,
        manager: ServiceManager | None = None,
        on_log_level: Callable[[str], None] = lambda _level: None,
    ) -> None:
        """`reread` reads all settings from where they came from at the start.

        `manager` is told when that begins and ends, `on_log_level` which level was put in force.
        """
        self._on_log_level = on_log_level
        self._manager = manager or ServiceManager()
        self._data_dir = data_dir
        self._tls: NodeTls | None = None
        self._reread = reread
        self._clock = clock

    def keep_new(self, tls: NodeTls | None) -> None:
        """Renew this certificate from now on."""
        self._tls = tls
        leave_authority(self._data_dir, tls)

    def listen(self) -> None:
        """React to HUP from now on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.renew)

    def renew(self) -> None:
        """Take up what changed; what is wrong is logged and changes nothing."""
        self._manager.reloading(self._clock.monotonic())
        self._read_settings()
        self._read_certificate()
        self._manager.reloaded()

    def _read_settings(self) -> None:
        if self._reread is not None:
            try:
                settings = self._reread()
                configure_log(settings.log_level, settings.log_format)
                log.info("the log level is %s", settings.log_level)
                self._on_log_level(settings.log_level)
            except CronCordError as error:
                log.error("the settings were not read again: %s", _told(error))  # noqa: TRY400

    def _read_certificate(self) -> None:
        if self._tls is None:
            return
        try:
            self._tls.reload(self._clock.now())
            leave_authority(self._data_dir, self._tls)
            log.info("new connections use the certificate that ends %s", self._tls.expires_at)
        except ConfigError as error:
            log.error("the certificate in use is kept: %s", _told(error))  # noqa: TRY400

    def figures(self) -> Iterable[Family]:
        """Return how long the certificate is good for; nothing without one."""
        if self._tls is None:
            return ()
        left = self._tls.seconds_left(self._clock.now())
        about = "Seconds until this node's certificate ends"
        return [gauge("croncord_certificate_expires_seconds", about, left)]

    async def watch_age(self) -> None:
        """Complain while the certificate nears its end; cancel to stop."""
        while True:
            self._complain()
            await self._clock.sleep(LOOK_SECONDS)

    def _complain(self) -> None:
        left = self._tls.seconds_left(self._clock.now()) if self._tls else WARN_SECONDS
        if self._tls is not None and left < WARN_SECONDS:
            log.warning(
                "%s %s; renew it with croncord cluster init-tls --renew, then send HUP",
                self._tls.files.cert,
                "has expired" if left < 0 else f"expires in {left / _DAY_SECONDS:.0f} days",
            )


def _told(error: CronCordError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message
