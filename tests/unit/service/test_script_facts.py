"""What a script's first look tells."""

import pytest

from croncord.service.script_check import script_facts


@pytest.mark.parametrize(
    ("text", "interpreter", "language"),
    [
        ("echo\n", "/bin/bash", "bash"),
        ("", "/bin/bash", "bash"),
        ("#!/bin/sh\n", "/bin/sh", "sh"),
        ("#! /bin/bash -e\n", "/bin/bash -e", "bash"),
        ("#!/usr/bin/env bash\n", "/usr/bin/env bash", "bash"),
        ("#!/usr/bin/env -S python3 -u\n", "/usr/bin/env -S python3 -u", "python"),
        ("#!/usr/bin/env -S A=1 python3.11\n", "/usr/bin/env -S A=1 python3.11", "python"),
        ("\ufeff#!/usr/bin/python3\r\nx\r\n", "/usr/bin/python3", "python"),
        ("#!/usr/bin/perl -w\n", "/usr/bin/perl -w", ""),
        ("#!/usr/bin/pythonic\n", "/usr/bin/pythonic", ""),
        ("#!\n", "", ""),
    ],
)
def test_the_interpreter_is_found(text, interpreter, language):
    facts = script_facts(text)
    assert (facts.interpreter, facts.language) == (interpreter, language)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\ufeffecho\n", 1, "byte order mark"),
        ("a\r\nb\r\n", 1, "turned into LF"),
        ("a\nb\r\nc\n", 2, "some lines end in CR LF"),
        ("#!/bin/sh\r\na\n", 1, "`#!` line ends in CR LF"),
        ("#!\n", 1, "names no interpreter"),
        ("#!bash\n", 1, "absolute path"),
        ("#!/usr/bin/env python3 -u\n", 1, "env -S"),
        ("\n\n#!/bin/sh\n", 3, "only at the very beginning"),
    ],
)
def test_likely_mistakes_are_told_with_their_line(text, line, words):
    findings = script_facts(text).findings
    assert [found for found, _ in findings] == [line]
    assert words in findings[0][1]


@pytest.mark.parametrize(
    ("text", "lines", "ends"),
    [
        ("", 0, "lf"),
        ("a", 1, "lf"),
        ("a\nb\n", 2, "lf"),
        ("a\r\nb", 2, "crlf"),
        ("a\r\nb\n", 2, "mixed"),
    ],
)
def test_lines_are_counted(text, lines, ends):
    facts = script_facts(text)
    assert (facts.lines, facts.line_ends) == (lines, ends)
