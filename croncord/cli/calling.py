"""From a coroutine that calls the API to the handler of a command."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable

from croncord.cli.client import Client
from croncord.cli.connection import find_connection
from croncord.cli.output import note
from croncord.cli.parser import Handler

Call = Callable[[Client, argparse.Namespace], Awaitable[int | None]]
"""A command that needs the cluster; returns the exit status, None for 0."""


def connected(call: Call) -> Handler:
    """Return a handler that runs `call` with a client for the cluster that the options name."""

    def handler(args: argparse.Namespace) -> int:
        return asyncio.run(_run(call, args))

    return handler


async def _run(call: Call, args: argparse.Namespace) -> int:
    connection = find_connection(args.url, args.token, os.environ, args.ca)
    async with Client(connection) as client:
        try:
            return await call(client, args) or 0
        finally:
            if client.stale is not None:
                node, seconds = client.stale
                note(f"note: there is no leader; this is {node}'s own copy, {seconds} s old")
