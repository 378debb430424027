"""Who may import whom, what the pure core may not import, and what ``import peerdisco`` loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import peerdisco

ROOT = Path(peerdisco.__file__).parent

LAYERS = {
    # Each may import what stands in its own layer and above it in this table, and nothing below.
    # A name that ends with a dot and a star stands for a package and all in it.
    "ground": ["exceptions", "model.*", "wording.*"],
    "pure rooms": [
        "names",
        "conditions",
        "observability",
        "observability.events",
        "membership.*",
        "primary",
        "primary.policies",
        "primary.verdicts",
        "pod",
        "pod.hosts_file",
        "pod.name",
        "pod.resolv_conf",
        "timing",
        "timing.backoff",
        "dns",
        "dns.alike",
        "dns.evidence",
        "dns.fast_path",
        "dns.glue",
        "dns.reply",
        "dns.retries",
        "dns.wire",
        "sources",
        "sources.leftovers",
        "sources.peer_factory",
        "sources.usual_answer",
        "sources.large",
        "sources.large.ordinals",
        "sources.large.rotation",
    ],
    "edge": [
        "clock",
        "observability.reporting",
        "timing.chance",
        "timing.stalls",
        "primary.probing",
        "pod.*",
        "dns.*",
        "hooks.*",
    ],
    "sources": ["sources.*"],
    "discovery": ["discovery"],
    "blocking": ["sync", "observability.*"],
    "mysql core": [
        "mysql.copies",
        "mysql.duplicates",
        "mysql.decisions",
        "mysql.dialects",
        "mysql.durability",
        "mysql.errors",
        "mysql.facts",
        "mysql.history",
        "mysql.literals",
        "mysql.log_mark",
        "mysql.objections",
        "mysql.opening",
        "mysql.own_log",
        "mysql.positions",
        "mysql.reasons",
        "mysql.recovery",
        "mysql.repairs",
        "mysql.setup",
        "mysql.sidecar",
        "mysql.sidecar.announcements",
        "mysql.sidecar.freshness",
        "mysql.sidecar.lag",
        "mysql.sidecar.past_reports",
        "mysql.sidecar.report",
        "mysql.sidecar.status_page",
        "mysql.status",
        "mysql.stopping",
        "mysql.takeover",
        "mysql.tables",
        "mysql.values",
        "mysql.versions",
        "mysql.waiting_commits",
    ],
    "mysql": ["mysql.*"],
    "doctor core": [
        "doctor",
        "doctor.advice",
        "doctor.checks.*",
        "doctor.database",
        "doctor.facts",
        "doctor.findings",
        "doctor.fixes",
        "doctor.report",
        "doctor.suggestions",
    ],
    "doctor": ["doctor.*"],
    "command": ["cli.*", "__main__"],
}
ORDER = list(LAYERS)

TESTING = "testing.*"
"""May import its own, and what stands above ``discovery``."""

MAY_IMPORT_TESTING = {"testing.*", "cli.commands.simulate", "cli.simulation.story"}
"""The command that simulates, and the story that it plays."""

MAY_IMPORT_THE_STORY = {"cli.commands.simulate"}
MAY_IMPORT_CLI = {"cli.*", "__main__"}

PURE = [
    *LAYERS["ground"],
    *LAYERS["pure rooms"],
    *LAYERS["mysql core"],
    *LAYERS["doctor core"],
    "testing.cluster",
    "testing.answers",
]
"""Bytes and values in, values out. Time and chance arrive as arguments."""

NOT_PURE = {"asyncio", "socket", "os", "time", "random", "logging"}


@dataclass(frozen=True)
class Import:
    """One import: of a module of this package (``module`` then is relative to it), or another."""

    importer: str
    module: str
    own: bool
    typing_only: bool
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"


def modules() -> dict[str, Path]:
    """Every module of the package, named relative to it; the package itself is ``""``."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def within(module: str, places: list[str] | set[str]) -> bool:
    return any(
        module == place or (place.endswith(".*") and f"{module}.".startswith(place[:-1]))
        for place in places
    )


def layer_of(module: str) -> str | None:
    return next((layer for layer in ORDER if within(module, LAYERS[layer])), None)


def imports(importer: str) -> Iterator[Import]:
    """All of a module's imports, those within its functions too."""
    path = MODULES[importer]
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = ["peerdisco", *filter(None, package.split("."))]
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, *filter(None, [base])])
            # `from package import name` imports the module of that name, if there is one.
            targets = [
                f"{base}.{alias.name}" if own_name(f"{base}.{alias.name}") in MODULES else base
                for alias in node.names
            ]
        else:
            continue
        for target in targets:
            own = target.partition(".")[0] == "peerdisco"
            name = own_name(target) if own else target.partition(".")[0]
            assert name is not None
            yield Import(importer, name, own, id(node) in typing_only, node.lineno)


def own_name(target: str) -> str | None:
    """The name relative to the package; None for a module that is none of its own."""
    package, _, rest = target.partition(".")
    return rest if package == "peerdisco" else None


@cache
def all_imports() -> tuple[Import, ...]:
    """Those of every module; read when the first test needs them."""
    return tuple(found for module in MODULES for found in imports(module))


@pytest.mark.parametrize("module", [module for module in MODULES if module])
def test_every_module_has_its_place_in_the_table(module: str) -> None:
    assert within(module, {TESTING}) or layer_of(module), (
        f"peerdisco.{module} stands in no layer: place it in LAYERS"
    )


def test_the_table_names_nothing_that_is_not_there() -> None:
    named = {place for places in LAYERS.values() for place in places if not place.endswith(".*")}
    assert named <= set(MODULES)


def test_the_walk_sees_the_imports() -> None:
    seen = {(found.importer, found.module) for found in all_imports()}
    assert ("sources.peer_factory", "dns.wire") in seen
    assert ("discovery", "pod.environment") in seen
    assert ("dns.transport", "asyncio") in seen
    assert ("model.snapshots", "datetime") in seen
    typing_only = {(found.importer, found.module) for found in all_imports() if found.typing_only}
    assert ("cli.commands.mysql_sidecar", "mysql.sidecar.report") in typing_only
    assert ("model.snapshots", "model.errors") not in typing_only


@pytest.mark.parametrize("module", [m for m in MODULES if m and not within(m, {TESTING})])
def test_imports_point_one_way(module: str) -> None:
    place = layer_of(module)
    assert place is not None
    wrong = []
    for found in imports(module):
        if not found.own or within(found.module, {TESTING}):
            continue
        # The package itself imports everything; its version and its lazy names are for the top.
        target = layer_of(found.module) if found.module else "discovery"
        if target is None or ORDER.index(target) > ORDER.index(place):
            wrong.append(str(found))
    assert not wrong


@pytest.mark.parametrize("module", [module for module in MODULES if within(module, {TESTING})])
def test_testing_imports_only_what_is_below_discovery(module: str) -> None:
    allowed = set(ORDER[: ORDER.index("discovery")])
    wrong = [
        str(found)
        for found in imports(module)
        if found.own
        and not within(found.module, {TESTING})
        and layer_of(found.module) not in allowed
    ]
    assert not wrong


def test_only_the_command_that_simulates_imports_testing() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.own
        and not found.typing_only
        and (
            (within(found.module, {TESTING}) and not within(found.importer, MAY_IMPORT_TESTING))
            or (
                found.module == "cli.simulation.story"
                and found.importer not in MAY_IMPORT_THE_STORY
            )
        )
    ]
    assert not wrong


def test_nothing_imports_the_command() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.own
        and within(found.module, {"cli.*"})
        and not within(found.importer, MAY_IMPORT_CLI)
    ]
    assert not wrong


@pytest.mark.parametrize(
    "module", [module for module in MODULES if module and within(module, PURE)]
)
def test_the_pure_core_knows_neither_time_nor_chance_nor_the_machine(module: str) -> None:
    wrong = [
        str(found)
        for found in imports(module)
        if not found.own and not found.typing_only and found.module in NOT_PURE
    ]
    assert not wrong


@pytest.mark.parametrize(
    "module", [module for module in MODULES if module and within(module, PURE)]
)
def test_the_pure_core_imports_only_what_is_pure(module: str) -> None:
    wrong = [
        str(found)
        for found in imports(module)
        if found.own
        and not found.typing_only
        and not within(found.module, PURE)
        # The package of the testing modules is no more than their list of names.
        and found.module != "testing"
    ]
    if module.startswith("testing."):
        # They build on other values of the testing package; those are held to the same rule.
        wrong = [text for text in wrong if " imports testing." not in text]
    assert not wrong


# What importing costs.


def modules_after(statements: str) -> set[str]:
    """The top-level names of the modules that these statements load, in a fresh interpreter."""
    program = (
        "import json, sys\nbefore = set(sys.modules)\n"
        f"{statements}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=50
    )
    return set(json.loads(done.stdout))


HEAVY = {
    "aiodns",
    "aiomysql",
    "asyncio",
    "dns",
    "httpx",
    "logging",
    "opentelemetry",
    "prometheus_client",
    "pycares",
    "rich",
    "tenacity",
}


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_after("import peerdisco")
    assert "peerdisco" in loaded
    assert not HEAVY & loaded
    assert {name for name in loaded if name.startswith("peerdisco.")} == set()


def test_a_public_module_is_loaded_when_it_is_first_used() -> None:
    loaded = modules_after("import peerdisco; peerdisco.hooks.HookRunner")
    assert "peerdisco.hooks" in loaded
    assert not {"peerdisco.testing", "peerdisco.mysql", "dns"} & loaded


def test_the_values_and_the_errors_load_nothing_heavy() -> None:
    loaded = modules_after(
        "import peerdisco; peerdisco.Snapshot; peerdisco.NotReady; peerdisco.parse_pod_name"
    )
    assert "peerdisco.model" in loaded
    assert not HEAVY & loaded


def test_a_lookup_loads_no_dns_library() -> None:
    loaded = modules_after("import peerdisco; peerdisco.discover; peerdisco.sync")
    assert "asyncio" in loaded
    assert not (HEAVY - {"asyncio", "logging"}) & loaded


# The public names.


@pytest.mark.parametrize("name", peerdisco.__all__)
def test_every_public_name_is_importable(name: str) -> None:
    value = getattr(peerdisco, name)
    assert value is getattr(peerdisco, name)
    assert name in dir(peerdisco)


def test_a_star_import_brings_exactly_the_public_names() -> None:
    brought: dict[str, object] = {}
    exec("from peerdisco import *", brought)
    del brought["__builtins__"]
    assert sorted(brought) == sorted(peerdisco.__all__)


def test_the_lazy_table_covers_the_public_names_exactly() -> None:
    listed = [name for names in peerdisco._HOMES.values() for name in names]
    assert len(listed) == len(set(listed))
    submodules = {name for name in peerdisco.__all__ if name in MODULES}
    assert {*listed, *submodules} == set(peerdisco.__all__)
    assert not set(listed) & submodules
    assert set(peerdisco._HOMES) <= set(MODULES)


def test_the_public_names_stand_in_order_and_once() -> None:
    names = list(peerdisco.__all__)
    assert len(set(names)) == len(names)
    upper = [name for name in names if name[0].isupper()]
    assert names == sorted(upper) + sorted(set(names) - set(upper))


def test_type_checkers_see_what_the_lazy_table_loads() -> None:
    imported = set()
    for node in ast.walk(ast.parse(MODULES[""].read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            imported |= {(node.module, alias.name) for alias in node.names}
    table = {(home, name) for home, names in peerdisco._HOMES.items() for name in names}
    assert imported == table | {(None, name) for name in peerdisco._MODULES}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'peerdisco' has no attribute 'nothing'"):
        _ = peerdisco.nothing


def test_each_module_says_what_is_public_in_it() -> None:
    for module in (
        "exceptions",
        "model",
        "names",
        "pod.identity",
        "primary.policies",
        "sync",
        "discovery",
    ):
        tree = ast.parse(MODULES[module].read_text())
        listed = [
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert len(listed) == 1, module
        names = ast.literal_eval(listed[0])
        assert len(names) == len(set(names)), module


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_below_its_definitions(module: str) -> None:
    body = ast.parse(MODULES[module].read_text()).body
    defined = [n.lineno for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    imported = [n.lineno for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert not defined or not imported or max(imported) < min(defined)
