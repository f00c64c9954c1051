"""Digests of the beginning of a local output: they tell whether it is a prefix of another copy."""

import hashlib

from croncord.frames import decode_frames
from croncord.logs.local import LocalLogs
from croncord.logs.reading import closing, local_frames
from croncord.logs.tally import output_bytes
from croncord.ports import LogKey


async def framed_prefix_sha256(local: LocalLogs, key: LogKey, size: int) -> str:
    """Return the digest of the first `size` framed bytes, empty when there are fewer.

    Raises NotFound, StoreError.
    """
    digest = hashlib.sha256()
    if size:
        async with closing(local_frames(local, key, offset=0, follow=False)) as pieces:
            async for data in pieces:
                digest.update(data[:size])
                size -= min(size, len(data))
                if not size:
                    break
    return "" if size else digest.hexdigest()


async def output_prefix_sha256(local: LocalLogs, key: LogKey, size: int) -> str:
    """Return the digest of the first `size` bytes of output, of all when there are fewer.

    Raises NotFound, StoreError.
    """
    digest = hashlib.sha256()
    async with closing(local_frames(local, key, offset=0, follow=False)) as pieces:
        async for data in pieces:
            output = output_bytes(decode_frames(data)[0])[:size]
            digest.update(output)
            size -= len(output)
            if not size:
                break
    return digest.hexdigest()
