"""The house: imports go down, one file knows each library, and no file grows beyond a screenful."""

import ast
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "croncord"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

GROUND, AGREEMENT, MACHINES, DESK, DOORS, ROOF = range(6)
FLOORS = {
    "croncord": GROUND,
    "croncord.raft": MACHINES,
    "croncord.node": MACHINES,
    "croncord.logs": MACHINES,
    "croncord.notify": MACHINES,
    "croncord.service": DESK,
    "croncord.tls.authority": DESK,
    "croncord.tls.directory": DESK,
    "croncord.web": DOORS,
    "croncord.cli": DOORS,
    "croncord.bootstrap": ROOF,
    "croncord.daemon": ROOF,
    "croncord.daemon_log": ROOF,
    "croncord.demo": ROOF,
    "croncord.outputs": ROOF,
    "croncord.group": ROOF,
    "croncord.joining": ROOF,
    "croncord.standing": ROOF,
    "croncord.unpacking": ROOF,
    "croncord.recover": ROOF,
    "croncord.restore": ROOF,
    "croncord.renewal": ROOF,
    "croncord.service_manager": ROOF,
    "croncord.liveness": ROOF,
    "croncord.log_level": ROOF,
    "croncord.serve": ROOF,
    "croncord.__main__": ROOF,
    **{
        f"croncord.raft.{name}": AGREEMENT
        for name in (
            "access_apply",
            "apply",
            "audit",
            "backfill_apply",
            "calendars_apply",
            "cluster_apply",
            "command",
            "commands",
            "dependents",
            "endings",
            "jobs_apply",
            "nodes_apply",
            "notify_apply",
            "access_commands",
            "notify_commands",
            "notify_tables",
            "envelope",
            "image",
            "outcomes",
            "overlapping",
            "outputs_apply",
            "port",
            "requests",
            "restoring",
            "roster",
            "runs_apply",
            "sealed_values",
            "secrets_apply",
            "shape",
            "sharing",
            "snapshot",
            "starting",
            "state",
            "table",
            "views_apply",
            "watching",
        )
    },
}

LIBRARIES = {
    "pysyncobj": ("croncord.raft",),
    "lmdb": ("croncord.raft.journal", "croncord.raft.entrylog", "croncord.logs"),
    "psutil": ("croncord.node",),
    "croniter": ("croncord.schedule",),
    "dateutil": ("croncord.ical",),
    "yaml": ("croncord.cli.yaml_text",),
    "aiohttp.web": ("croncord.web",),
    "aiohttp_jinja2": ("croncord.web",),
    "cryptography": ("croncord.raft", "croncord.node.vault", "croncord.tls"),
}


def floor(module: str) -> int:
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return FLOORS[module]


def package(module: str) -> str:
    """Return the room on its floor that a module belongs to."""
    parts = module.split(".")
    return ".".join(parts[:2])


@cache
def imports(module: str) -> list[tuple[str, int]]:
    """Every module of ours or of a library that a module imports, with the line."""
    found = []
    for entry in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(entry, ast.Import):
            found += [(alias.name, entry.lineno) for alias in entry.names]
        elif isinstance(entry, ast.ImportFrom) and entry.module:
            for alias in entry.names:
                full = f"{entry.module}.{alias.name}"
                found.append((full if full in MODULES else entry.module, entry.lineno))
                if entry.module == "aiohttp":
                    found.append((full, entry.lineno))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_or_stay_in_the_room(module):
    wrong = [
        f"line {line}: {module} imports {target}"
        for target, line in imports(module)
        if target in MODULES
        and package(target) != package(module)
        and (
            floor(target) > floor(module)
            or (floor(target) == floor(module) and floor(module) in (MACHINES, DOORS))
        )
    ]
    assert wrong == []


@pytest.mark.parametrize("module", [name for name in MODULES if floor(name) in (DESK, DOORS)])
def test_doors_and_desk_reach_machines_only_through_ports(module):
    wrong = [
        f"line {line}: {module} imports {target}"
        for target, line in imports(module)
        if target in MODULES and floor(target) == MACHINES
    ]
    assert wrong == []


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_known_in_one_room_only(module):
    wrong = [
        f"line {line}: {module} imports {target}"
        for target, line in imports(module)
        for library, homes in LIBRARIES.items()
        if (target == library or target.startswith(f"{library}."))
        and not any(module == home or module.startswith(f"{home}.") for home in homes)
    ]
    assert wrong == []


PURE = [name for name in MODULES if floor(name) in (GROUND, AGREEMENT)]
IMPURE = {"os", "time", "random", "secrets", "uuid", "socket", "subprocess", "asyncio", "threading"}
ALLOWED = {
    "croncord.clock": {"time", "asyncio"},
    "croncord.config": {"os", "socket"},
}


@pytest.mark.parametrize("module", PURE)
def test_ground_and_agreement_read_no_clock_no_randomness_and_no_machine(module):
    wrong = [
        f"line {line}: {module} imports {target}"
        for target, line in imports(module)
        if target.split(".")[0] in IMPURE - ALLOWED.get(module, set())
    ]
    assert wrong == []


def test_nothing_imports_in_a_circle():
    graph = {name: {t for t, _ in imports(name) if t in MODULES} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in sorted(graph[name] - {name}):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_has_more_than_500_lines():
    sources = [
        *MODULES.values(),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "benchmarks").rglob("*.py"),
    ]
    assert {str(path.relative_to(ROOT)): lines(path) for path in sources if lines(path) > 500} == {}


def test_half_of_the_modules_have_at_most_170_lines():
    assert median(lines(path) for path in MODULES.values()) <= 170


@pytest.mark.parametrize("module", MODULES)
def test_no_module_has_a_name_that_says_nothing(module):
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    assert not vague & set(module.split("."))


def test_every_public_module_says_what_it_is_for():
    silent = [
        name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
