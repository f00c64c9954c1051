"""How a machine that belongs to nothing yet asks to be let into a cluster."""

import logging
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from croncord.clock import Clock
from croncord.errors import ConfigError, CronCordError
from croncord.model import milliseconds
from croncord.ports import JoinAnswer, JoinRequest
from croncord.raft.invitation import JoinCall

log = logging.getLogger(__name__)

PATH: Final = "internal/v1/join"
RETRY_SECONDS: Final = 1.0
CONFLICT_SECONDS: Final = 20.0
"""A machine that was wiped may come back before the others have noticed that it was gone."""
ANSWER_SECONDS: Final = 20.0
ANSWER_BYTES_MAX: Final = 1024 * 1024
_LATER = frozenset({500, 502, 503, 504})
_CONFLICT = 409


class _Refused(Exception):
    """A node said no; `is_final` when asking again cannot help."""

    def __init__(self, message: str, *, hint: str, status: int) -> None:
        super().__init__(message)
        self.message, self.hint, self.status = message, hint, status


class Joiner:
    """Asks the nodes it was told of, in turn, until one lets it in or says why not."""

    def __init__(
        self, urls: Sequence[str], request: JoinRequest, *, clock: Clock, token: str, secret: bytes
    ) -> None:
        """Take the token, or the cluster secret. Raises ConfigError."""
        self._urls = urls
        self._clock = clock
        self._call = JoinCall(request, now_ms=milliseconds(clock.now()), token=token, secret=secret)
        self._told = ""

    async def run(self) -> JoinAnswer:
        """Return what the cluster told. Waits as long as no node answers or nobody leads.

        Raises ConfigError when this machine is refused.
        """
        give_up_at = self._clock.monotonic() + CONFLICT_SECONDS
        # The answer is sealed for us with a key made from the token or the secret. The certificate
        # cannot be checked yet: its authority is in the answer.
        connector = aiohttp.TCPConnector(ssl=False)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=False
        ) as session:
            while True:
                for url in self._urls:
                    try:
                        return self._call.read(await self._ask(session, url))
                    except _Refused as refusal:
                        is_early = self._clock.monotonic() < give_up_at
                        if refusal.status != _CONFLICT or not is_early:
                            raise ConfigError(
                                f"the cluster did not let this node in: {refusal.message}",
                                hint=refusal.hint,
                            ) from None
                        self._tell(f"{url}: {refusal.message}; asking again")
                    except (aiohttp.ClientError, OSError) as error:
                        self._tell(f"{url} does not answer ({error}); asking again")
                    except CronCordError as error:
                        raise ConfigError(f"{url}: {error.message}", hint=error.hint) from None
                await self._clock.sleep(RETRY_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, url: str) -> bytes:
        async with session.post(
            URL(url) / PATH, data=self._call.body, allow_redirects=False
        ) as response:
            body = await response.content.read(ANSWER_BYTES_MAX)
            if response.status == 200:
                return body
            message, hint = _problem(body, response.status)
            if response.status in _LATER:
                raise OSError(message)
            raise _Refused(message, hint=hint, status=response.status)

    def _tell(self, message: str) -> None:
        if message != self._told:
            self._told = message
            log.warning("%s", message)


class _Problem(msgspec.Struct):
    detail: str = ""
    hint: str = ""


def _problem(body: bytes, status: int) -> tuple[str, str]:
    """Return what went wrong in an answer, and the next step."""
    try:
        told = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        told = _Problem()
    if told.detail:
        return told.detail, told.hint
    wrong = f"it answered with status {status}"
    return wrong, "Check that --join names a CronCord node of this version."
