"""What is done to a script before it runs, and which program runs it."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croncord.node.script import prepare_script

BASH = ("/bin/bash",)
ENV_PYTHON = ("/usr/bin/env", "python3")

TABLE = [
    # script, bytes that run, interpreter
    (b"echo hi\n", b"echo hi\n", BASH),
    (b"", b"", BASH),
    (b"#!/bin/sh\necho hi\n", b"#!/bin/sh\necho hi\n", ("/bin/sh",)),
    (b"#! /bin/sh -e  \nx", b"#! /bin/sh -e  \nx", ("/bin/sh", "-e")),
    (b"#!/usr/bin/env python3\nx", b"#!/usr/bin/env python3\nx", ENV_PYTHON),
    (b"#!/usr/bin/env -S python3 -u\n", b"#!/usr/bin/env -S python3 -u\n", None),
    (b"#!/usr/bin/awk -f\n", b"#!/usr/bin/awk -f\n", ("/usr/bin/awk", "-f")),
    (b"#!\n", b"#!\n", BASH),
    (b"# !/bin/sh\n", b"# !/bin/sh\n", BASH),
    # line ends
    (b"a\r\nb\r\n", b"a\nb\n", BASH),
    (b"a\r\nb", b"a\nb", BASH),
    (b"a\r\nb\n", b"a\r\nb\n", BASH),
    (b"#!/bin/sh\nprintf 'x\r\n'\n", b"#!/bin/sh\nprintf 'x\r\n'\n", ("/bin/sh",)),
    (b"#!/bin/bash\r\na\r\n", b"#!/bin/bash\na\n", BASH),
    (b"#!/usr/bin/env python3\r\nx\r\n", b"#!/usr/bin/env python3\nx\n", ENV_PYTHON),
    (b"#!/usr/bin/env python3\r\nx\ny\r\n", b"#!/usr/bin/env python3\nx\ny\n", ENV_PYTHON),
    (b"#!/usr/bin/env python3\nx\r\n", b"#!/usr/bin/env python3\nx\r\n", ENV_PYTHON),
    (b"#!/usr/bin/env bash\r\na\r\n", b"#!/usr/bin/env bash\na\n", ("/usr/bin/env", "bash")),
    # byte order marks
    (b"\xef\xbb\xbf#!/bin/sh\nx", b"#!/bin/sh\nx", ("/bin/sh",)),
    (b"\xef\xbb\xbfecho hi", b"echo hi", BASH),
]


@pytest.mark.parametrize(("script", "content", "command"), TABLE)
def test_a_script_is_repaired_where_it_would_break_and_finds_its_interpreter(
    script, content, command
):
    prepared = prepare_script(script)
    assert prepared.content == content
    assert prepared.command == (command or ("/usr/bin/env", "-S python3 -u"))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_can_be_prepared_and_the_digest_is_of_what_runs(script):
    prepared = prepare_script(script)
    assert prepared.sha256 == hashlib.sha256(prepared.content).hexdigest()
    assert prepared.command
    assert all(prepared.command)


@settings(deadline=None)
@given(st.text(alphabet="ab \n\r#!/", max_size=60).filter(lambda text: "\r\r" not in text))
def test_preparing_what_was_prepared_changes_nothing(text):
    once = prepare_script(text.encode())
    assert prepare_script(once.content).content == once.content


@settings(deadline=None)
@given(st.binary(max_size=100).filter(lambda b: b"\r" not in b))
def test_a_script_with_unix_line_ends_runs_as_it_is(script):
    assert prepare_script(script).content == script.removeprefix(b"\xef\xbb\xbf")
