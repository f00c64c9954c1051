"""The documents say what is so: pages that are made are current, links lead somewhere, tests exist."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), ROOT / "deploy" / "ansible" / "README.md"]
LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s]+)\)")
ROWS = [
    line
    for line in (DOCS / "semantics.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| when…")
]


def name_of(page):
    return str(page.relative_to(ROOT))


@cache
def anchors(page):
    """Return what can be linked to in a page, as GitHub names headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_page_of_the_api_is_as_its_script_makes_it():
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert (DOCS / "api.md").read_text() == made.page(), "run python docs/make_api.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    broken = []
    for _, target in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_what_happens_is_proven_by_a_test(row):
    assert any(name.startswith("test_") for name, _ in LINK.findall(row))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tests_that_are_linked_to_exist(page):
    missing = []
    for name, target in LINK.findall(page.read_text()):
        if name.startswith("test_"):
            path = (page.parent / target).resolve()
            source = path.read_text() if path.is_relative_to(ROOT / "tests") else ""
            if not re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE):
                missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tests_and_sources_that_are_named_exist(page):
    named = re.findall(
        r"`((?:tests|croncord|deploy|benchmarks|docs)/[\w./-]+\w)`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=name_of)
def test_the_readme_leads_to_every_page(page):
    assert f"docs/{page.name}" in (ROOT / "README.md").read_text()
