"""Posting JSON to an address, and calling one: bounded in time and in what is read of the answer.

Redirects are not followed, proxies of the environment are not used, certificates are verified. The
address itself is in no error: its path may be a secret.
"""

import json
import os
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from croncord.notify.undelivered import Undelivered

TIMEOUT_SECONDS: Final = 10.0
_READ_BYTES: Final = 1024
_SHOWN_CHARACTERS: Final = 100


async def post_json(url: str, body: dict[str, Any], *, key: str) -> None:
    """POST it, with `key` as the idempotency key. Raises Undelivered unless the answer is 2xx."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    await _request("POST", url, json.dumps(body).encode(), headers)


async def call(url: str) -> None:
    """GET it. Raises Undelivered unless the answer is 2xx."""
    await _request("GET", url, None, {})


async def _request(method: str, url: str, data: bytes | None, headers: dict[str, str]) -> None:
    host = urlsplit(url).hostname or "the host"
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), auto_decompress=False
            ) as session,
            session.request(
                method,
                url,
                data=data,
                headers=headers | {"User-Agent": "CronCord", "Accept-Encoding": "identity"},
                allow_redirects=False,
            ) as answer,
        ):
            said = await answer.content.read(_READ_BYTES)
            status = answer.status
    except TimeoutError:
        message = f"{host} did not answer within {TIMEOUT_SECONDS:.0f} s"
        raise Undelivered(message, reached=False) from None
    except aiohttp.ClientConnectorCertificateError:
        message = f"the certificate of {host} is not one that this machine trusts"
        raise Undelivered(message, reached=False) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # An error may hold the address; only those of the operating system are told in full.
        raise Undelivered(f"{host} cannot be reached: {_why(error)}", reached=False) from None
    if 200 <= status < 300:
        return
    words = said.decode(errors="replace").replace(url, "***")
    words = "".join(c if c.isprintable() else " " for c in words)[:_SHOWN_CHARACTERS].strip()
    is_busy = status >= 500 or status == 429
    raise Undelivered(
        f"{host} answered {status}" + (f": {words}" if words else ""), reached=not is_busy
    )


def _why(error: Exception) -> str:
    system = getattr(error, "os_error", error)
    number = getattr(system, "errno", None)
    if number is not None and number > 0:
        return os.strerror(number)
    return getattr(system, "strerror", None) or type(error).__name__
