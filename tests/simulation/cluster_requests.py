"""Who waits for the simulated Raft: a proposal, a question."""

import asyncio


class Proposal:
    def __init__(self, entry: bytes) -> None:
        self.entry = entry
        self.was_sent = False


def answer(future: asyncio.Future[int], index: int) -> None:
    if not future.done():
        future.set_result(index)
