"""The front end stays small: as written, not minified. Whoever adds to it takes something away."""

from pathlib import Path

import croncord.web

STATIC = Path(croncord.web.__file__).parent / "static"
KB = 1024


def test_the_style_sheet_and_all_scripts_stay_within_their_budgets():
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir()}
    assert sizes["croncord.css"] <= 24 * KB
    assert sum(size for name, size in sizes.items() if name.endswith(".js")) <= 30 * KB
    assert sum(sizes.values()) <= 60 * KB


def test_nothing_is_minified():
    for path in STATIC.glob("*.[cj]s*"):
        text = path.read_text()
        lines = text.splitlines()
        assert len(lines) <= 600, path.name
        assert max(map(len, lines)) <= 400, path.name
        assert len(text) / len(lines) < 90, path.name
