"""`croncord run log`: the output of a run on standard output, byte for byte."""

import argparse
from contextlib import aclosing
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import note, say_bytes
from croncord.cli.parser import Verbs, add_verb, whole_number
from croncord.cli.run_output import Piece, Position, read_output
from croncord.cli.waiting import wait_for_attempt_after
from croncord.cli.wire import path_of


def add_verb_log(verbs: Verbs[Any]) -> None:
    """Add `log`."""
    log = add_verb(
        verbs,
        "log",
        connected(show_log),
        "print the output of a run, exactly as it was written",
        example=(
            "croncord run log 06kh1v7qbs8n2g5m9k3d0r4c > backup.out\n"
            "croncord run log -f --tail 20 06kh1v7qbs8n2g5m9k3d0r4c"
        ),
        prints_data=False,
    )
    log.add_argument("run", metavar="RUN")
    log.add_argument("-f", "--follow", action="store_true", help="until the run has ended")
    log.add_argument("--tail", type=whole_number, metavar="N", help="only the last N lines")
    log.add_argument("--attempt", type=whole_number, metavar="N", help="default: the last one")
    log.add_argument("--stream", choices=("stdout", "stderr"), help="default: both")


async def show_log(client: Client, args: argparse.Namespace) -> None:
    """Print the output of a run."""
    attempt = args.attempt
    if attempt is None:
        attempt = (await client.get(path_of("runs", args.run)))["attempt"]
    position = Position()
    if args.tail is not None:
        await _copy_tail(client, args, attempt, position)
        if not args.follow:
            return
    await _copy(client, args.run, attempt, position, stream=args.stream, follow=args.follow)
    if args.follow and args.attempt is None:
        await follow_retries(client, args.run, attempt, stream=args.stream)


async def follow_run(client: Client, run: dict[str, Any]) -> None:
    """Print a run's output while it comes, through all its attempts."""
    await _copy(client, run["id"], run["attempt"], Position(), stream=None, follow=True)
    await follow_retries(client, run["id"], run["attempt"], stream=None)


async def follow_retries(client: Client, run_id: str, attempt: int, stream: str | None) -> None:
    """Print the output of the attempts after that one, until there are no more."""
    while True:
        following = await wait_for_attempt_after(client, run_id, attempt)
        if following is None:
            return
        attempt = following
        note(f"attempt {attempt}:")
        await _copy(client, run_id, attempt, Position(), stream=stream, follow=True)


async def _copy(
    client: Client,
    run_id: str,
    attempt: int,
    position: Position,
    *,
    stream: str | None,
    follow: bool,
) -> None:
    source = read_output(client, run_id, position, attempt=attempt, stream=stream, follow=follow)
    async with aclosing(source) as pieces:
        async for piece in pieces:
            _show(piece)
    if position.cut_short:
        note("note: the end of the output is missing")


async def _copy_tail(
    client: Client, args: argparse.Namespace, attempt: int, position: Position
) -> None:
    """Print the last lines that there are now; nodes send whole pieces, so more may have come."""
    pieces = [
        piece
        async for piece in read_output(
            client, args.run, position, attempt=attempt, stream=args.stream, tail=args.tail
        )
    ]
    for piece in last_lines(pieces, args.tail):
        _show(piece)


def last_lines(pieces: list[Piece], lines: int) -> list[Piece]:
    """Return the end of the output with that many lines; an unfinished one at the end counts.

    Remarks are kept when they are in between.
    """
    if lines == 0:
        return []
    kept: list[Piece] = []
    wanted, at_end = lines, True
    for piece in reversed(pieces):
        data = piece.data
        if piece.stream != "system" and data:
            # The break that ends the last line begins none.
            searched = len(data) - 1 if at_end and data.endswith(b"\n") else len(data)
            at_end = False
            breaks = data.count(b"\n", 0, searched)
            if breaks >= wanted:
                for _ in range(wanted):
                    searched = data.rindex(b"\n", 0, searched)
                kept.append(Piece(piece.stream, data[searched + 1 :]))
                break
            wanted -= breaks
        kept.append(piece)
    return kept[::-1]


def _show(piece: Piece) -> None:
    if piece.stream == "system":
        note(f"note: {words.printable(piece.data.decode(errors='replace').strip())}")
    else:
        say_bytes(piece.data)
