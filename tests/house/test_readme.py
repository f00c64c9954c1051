"""The README is the front door: what it names exists."""

from pathlib import Path

import pytest

from croncord.config import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_every_setting_is_in_the_readme(setting):
    assert f"`{setting}`" in README


@pytest.mark.parametrize("target", ["demo", "test", "slow"])
def test_every_make_target_of_the_readme_exists(target):
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
    assert f"make {target}" in README


def test_ci_runs_the_readme_s_own_test_command():
    assert "\nmake test " in (ROOT / ".ci" / "run").read_text()
    assert README.index("make demo") < README.index("make test") < 900
