"""Everything that reads bytes from outside, under a coverage-guided fuzzer; see decoders.py.

CRONCORD_FUZZ_SECONDS makes each target run longer.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.hostile

PROGRAM = Path(__file__).with_name("decoders.py")
SECONDS = int(os.environ.get("CRONCORD_FUZZ_SECONDS", "3"))
TARGETS = re.findall(r'^    "(\w+)": Target\(', PROGRAM.read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_the_promised_errors_comes_out_of(target, tmp_path):
    command = [sys.executable, str(PROGRAM), target, "--seconds", str(SECONDS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"Done [1-9]\d* runs", done.stderr), done.stderr[-500:]
