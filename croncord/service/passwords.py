"""Password digests: scrypt (RFC 7914) with a salt of its own; the cost is written into each digest."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from croncord.errors import FieldError, Invalid

PASSWORD_CHARACTERS_MIN = 8
PASSWORD_BYTES_MAX = 1024
_SALT_BYTES = 16
_DIGEST_BYTES = 32
_MEMORY_BYTES_MAX = 128 * 1024 * 1024
_POOL = ThreadPoolExecutor(2, "password")
"""Each computation takes 32 MiB and a core; more than two at once would starve the runs."""


class Cost(NamedTuple):
    """scrypt's parameters; these take 32 MiB and about a quarter of a second."""

    n: int = 2**15
    r: int = 8
    p: int = 3


_COST = Cost()


async def hash_password(password: str, cost: Cost = _COST) -> str:
    """Return a digest to store. Raises Invalid when the password is too short or too long."""
    if len(password) < PASSWORD_CHARACTERS_MIN:
        message = f"must be at least {PASSWORD_CHARACTERS_MIN} characters long"
        raise Invalid([FieldError("password", message)])
    if len(password.encode(errors="replace")) > PASSWORD_BYTES_MAX:
        message = f"must be at most {PASSWORD_BYTES_MAX} bytes long"
        raise Invalid([FieldError("password", message)])
    salt = os.urandom(_SALT_BYTES)
    digest = await _scrypt(password, salt, cost)
    parts = (str(cost.n), str(cost.r), str(cost.p), _text(salt), _text(digest))
    return "$".join(("scrypt", *parts))


async def is_password(password: str, stored: str) -> bool:
    """Whether the password belongs to the digest; an unreadable digest belongs to none."""
    try:
        kind, n, r, p, salt, digest = stored.split("$")
        wanted = base64.b64decode(digest, validate=True)
        found = await _scrypt(
            password, base64.b64decode(salt, validate=True), Cost(int(n), int(r), int(p))
        )
    except (ValueError, binascii.Error):
        return False
    return kind == "scrypt" and hmac.compare_digest(found, wanted)


async def waste_time() -> None:
    """Take as long as checking a password does, so that unknown names answer no faster."""
    await _scrypt("", b"\0" * _SALT_BYTES, _COST)


async def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    compute = partial(
        hashlib.scrypt,
        password.encode(errors="surrogatepass")[: PASSWORD_BYTES_MAX + 1],
        salt=salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=_MEMORY_BYTES_MAX,
        dklen=_DIGEST_BYTES,
    )
    return await asyncio.get_running_loop().run_in_executor(_POOL, compute)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
