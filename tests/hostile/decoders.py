"""Coverage-guided fuzzing of everything that reads bytes from outside.

python tests/hostile/decoders.py --list
python tests/hostile/decoders.py command --seconds 60

A target takes any bytes and either succeeds or raises what its docstring promises. Anything else
ends the fuzzer with a trace and writes the input to a file. Seeds are real messages.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import atheris

with atheris.instrument_imports(include=["croncord"]):
    import msgspec

    from croncord.cli.jobfile import parse
    from croncord.crontab.reader import read_crontab
    from croncord.errors import CronCordError
    from croncord.explain import explain
    from croncord.frames import decode_frames, encode_frame, gap_bytes
    from croncord.ical import read_periods
    from croncord.logs.blocks import BlockHeader, decode_block, decode_header, encode_block
    from croncord.messages import MessageReader
    from croncord.peer_auth import PeerVerifier
    from croncord.raft import commands
    from croncord.raft.apply import apply
    from croncord.raft.envelope import request_id_of, seal, unseal
    from croncord.raft.image import decode_image
    from croncord.raft.snapshot import decode_state, encode_state
    from croncord.raft.state import ClusterState
    from croncord.raft.wire import handshake, messages
    from croncord.schedule import next_times
    from croncord.schedule.check import check_schedule
    from croncord.validation import read_job
    from croncord.web.ansi import line_html
    from croncord.web.query import parse_search

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Target(NamedTuple):
    """A reader, what it may raise, and inputs to start from."""

    run: Callable[[bytes], object]
    may_raise: tuple[type[Exception], ...] = ()
    seeds: tuple[bytes, ...] = ()


def command(data: bytes) -> None:
    """Read a command and apply it to a state that holds a little of everything."""
    read = commands.decode_command(data)
    state = decode_state(POPULATED)
    outcome = apply(state, read)
    if outcome.refusal is not None:
        assert encode_state(state) == POPULATED, "a refused command changed the state"
    decode_state(encode_state(state))


def entry(data: bytes) -> None:
    request_id_of(data)
    unseal(data)


def handshake_hello(data: bytes) -> None:
    for secret in (None, b"a secret for tests only, 32 chars"):
        for is_client in (True, False):
            side = handshake.Handshake(
                name="n1", address="127.0.0.1:1", secret=secret, is_client=is_client
            )
            side.receive_hello(data)


def image(data: bytes) -> None:
    source = io.BytesIO(data)
    decode_image(iter(lambda: source.read(64), b""))


def block(data: bytes) -> None:
    decode_header(data)
    decode_block(data)


def frames(data: bytes) -> None:
    found, consumed = decode_frames(data)
    assert consumed <= len(data)
    assert sum(frame.size for frame in found) == consumed
    for frame in found:
        gap_bytes(frame)


def schedule(data: bytes) -> None:
    expr, _, zone = data.decode(errors="replace").partition("|")
    check_schedule(expr, zone or "UTC")
    explain(expr)
    times = next_times(expr, zone or "UTC", NOW, 3)
    assert times == sorted(times)
    assert all(time > NOW for time in times)


def crontab(data: bytes) -> None:
    text = data.decode(errors="replace")
    for system in (True, False):
        read_crontab(text, system=system)


def calendar(data: bytes) -> None:
    read_periods(data.decode(errors="replace"), "Europe/Berlin", NOW, NOW + timedelta(days=400))


def job(data: bytes) -> None:
    fields = msgspec.json.decode(data)
    if isinstance(fields, dict):
        read_job(fields)


def job_file(data: bytes) -> None:
    text = data.decode(errors="replace")
    parse(text, json=False)


def colours(data: bytes) -> None:
    html = line_html(data)
    assert "<script" not in html


def script_messages(data: bytes) -> None:
    reader = MessageReader()
    for start in range(0, len(data), 7):
        reader.feed(1, data[start : start + 7])
    reader.end()


def peer_call(data: bytes) -> None:
    text = data.decode(errors="replace").split("\n")
    names = ("Croncord-Time", "Croncord-Nonce", "Croncord-Body-Sha256", "Croncord-Signature")
    verifier = PeerVerifier(b"a secret for tests only, 32 chars", "http://127.0.0.1:8470")
    headers = dict(zip(names, text, strict=False))
    verifier.check("GET", "/internal/v1/x", headers, now_ms=1_700_000_000_000)


def job_search(data: bytes) -> None:
    parse_search(data.decode(errors="replace"))


def _populated() -> bytes:
    state = ClusterState()
    for raw in SEED_COMMANDS:
        outcome = apply(state, commands.decode_command(raw))
        assert outcome.refusal is None, outcome.refusal
    return encode_state(state)


def _seed_commands() -> tuple[bytes, ...]:
    spec = read_job({"name": "backup", "script": "true\n", "schedule": "*/5 * * * *"})
    init = commands.InitCluster(at=NOW, by="", cluster_id="c1", session_key=b"k" * 32)
    put = commands.PutJob(at=NOW, by="user:ada", job_id="j1", spec=spec, next_due=NOW)
    pause = commands.PauseJob(at=NOW, by="user:ada", job_id="j1", paused=True)
    trigger = commands.TriggerRun(at=NOW, by="user:ada", job_id="j1", run_id="0" * 24)
    return tuple(commands.encode_command(each) for each in (init, put, pause, trigger))


SEED_COMMANDS = _seed_commands()
POPULATED = _populated()
BAD = (ValueError, msgspec.MsgspecError)
HELLO = handshake.Handshake(name="n2", address="127.0.0.1:2", secret=None, is_client=True).hello
ICAL = (
    b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY\nEND:VEVENT\n"
)
TARGETS = {
    "command": Target(command, BAD, SEED_COMMANDS),
    "entry": Target(entry, BAD, (seal(b"r" * 16, SEED_COMMANDS[1]),)),
    "state": Target(decode_state, BAD, (POPULATED,)),
    "image": Target(image, BAD),
    "hello": Target(handshake_hello, (handshake.HandshakeError,), (HELLO,)),
    "message": Target(
        messages.decode,
        BAD,
        (messages.encode({"type": "propose", "entries": [b"x"]}),),
    ),
    "block": Target(
        block, (CronCordError,), (encode_block(BlockHeader(4, 4, 0, 0, 4, 1), b"text"),)
    ),
    "frames": Target(frames, (), (encode_frame(1, b"hello\n", 3),)),
    "schedule": Target(schedule, (CronCordError,), (b"*/5 H 1-7 * mon#1|Europe/Berlin",)),
    "crontab": Target(crontab, (CronCordError,), (b"MAILTO=a\n*/5 * * * * root echo %x\n",)),
    "calendar": Target(calendar, (CronCordError,), (ICAL,)),
    "job": Target(job, (CronCordError, *BAD), (b'{"name":"a","script":"x","limits":{}}',)),
    "job_file": Target(job_file, (ValueError,), (b'[[jobs]]\nname = "a"\n',)),
    "colours": Target(colours, (), (b"\x1b[1;31mred\x1b[0m <b>", b"\x1b[38;5;200mx")),
    "script_messages": Target(script_messages, (), (b"::progress 40\n::metric rows=12\n",)),
    "peer_call": Target(peer_call, (CronCordError,), (b"1700000000000\nnonce\nab\ncd",)),
    "job_search": Target(job_search, (CronCordError,), (b"backup tag:prod state:failed",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list or arguments.target is None:
        sys.stdout.write("\n".join(TARGETS) + "\n")
        return
    target = TARGETS[arguments.target]

    def one_input(data: bytes) -> None:
        with contextlib.suppress(*target.may_raise):
            target.run(data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        options = [f"-max_total_time={arguments.seconds}", "-max_len=4096", "-rss_limit_mb=1024"]
        atheris.Setup([sys.argv[0], *options, corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
