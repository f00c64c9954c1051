"""Scripts are read by their interpreter, never run."""

import shutil

import pytest

from croncord.node.script_check import SyntaxChecker

if shutil.which("bash", path="/bin:/usr/bin") is None:  # pragma: no cover
    pytest.skip("no bash here", allow_module_level=True)


@pytest.mark.parametrize(
    ("script", "language", "line", "words"),
    [
        ("echo a\nif true; then\necho\n", "bash", 4, "unexpected end of file"),
        ("echo 'a\n", "sh", 2, "nterminated quoted string"),
        ("x = 1\ny = (\n", "python", 2, "never closed"),
        ("def f():\nreturn\n", "python", 2, "indent"),
        ("(" * 50_000, "python", 1, "too many nested"),
    ],
)
async def test_a_syntax_error_is_found_with_its_line(script, language, line, words):
    findings = await SyntaxChecker().check(script, language)
    assert findings[0][0] == line
    assert words in findings[0][1]


@pytest.mark.parametrize(
    ("script", "language"),
    [
        ("echo é; exit 3\n", "bash"),
        ("print('é')\n", "python"),
        ("syntax error(", "perl"),
        ("", "bash"),
    ],
)
async def test_what_is_fine_or_cannot_be_checked_is_not_remarked_upon(script, language):
    assert await SyntaxChecker().check(script, language) == []


async def test_nothing_of_the_script_runs(tmp_path):
    trap = tmp_path / "trap"
    scripts = (
        (f"$(touch {trap})\n`touch {trap}`\ntrap 'touch {trap}' EXIT\n", "bash"),
        (f"touch {trap}; $(touch {trap})\n", "sh"),
        (f"# -*- coding: utf-8 -*-\nopen({str(trap)!r}, 'w')\n", "python"),
    )
    for script, language in scripts:
        await SyntaxChecker().check(script, language)
    assert not trap.exists()
