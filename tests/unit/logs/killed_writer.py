"""Writes one output for ever and says what is durable; for a test that kills it.

usage: killed_writer.py DIRECTORY
"""

import asyncio
import sys
from pathlib import Path

from log_material import NOMINAL, a_key, endless

from croncord.logs.log_store import LogStore


async def main():
    store = await LogStore.start(Path(sys.argv[1]))
    key = a_key()
    at = await store.open(key, started_at=NOMINAL)
    print("open", at, flush=True)  # noqa: T201 - how the test hears of it
    for piece in endless(at):
        at = await store.append(key, at, piece)
        await store.local.flush()
        print("durable", store.status(key).size, flush=True)  # noqa: T201


asyncio.run(main())
