"""Hostile names from DNS, at each place where a name goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql.literals import host_name, literal
from tests.cli.command import peerdisco
from tests.cli.test_clusters import serving
from tests.hooks.running import QUICK
from tests.unit.records import Records

from .wire import SERVICE, TRUTH, records

OWNER = f"{SERVICE}."
LABELS = [
    "\\027[2J\\027]0\\;owned\\007",  # a terminal clears its screen and renames its window
    "db-3\\010db-4",
    "db-3\\032db-4",
    "db-3\\000",
    "\\$\\(reboot\\)",
    "\\`reboot\\`",
    "db-3\\;reboot",
    "'\\032OR\\0321=1",
    '\\"',
    "\\\\",
    "<script>alert\\(1\\)</script>",
    "{}",
    "-rf",
    "--output=json",
    "\\226\\128\\174",  # the direction of the text that follows
    "\\195\\164",
    "a,b",
    "*",
    "..",
]
"""In the notation of zone files; each is the label of a target beside those of the true peers."""
CONTROL = re.compile(r"[^\n -~]")
"""What no output may have beside lines of ASCII."""


def hostile(labels: list[str]) -> Records:
    found = dict(records(TRUTH))
    usable = [label for label in labels if label != ".."]
    targets = [f"{label}.{OWNER}" for label in usable]
    found[OWNER, "SRV"] = [
        *found[OWNER, "SRV"],
        *(f"{OWNER} SRV 0 50 3306 {target}" for target in targets),
        *(f"+{target} A 10.66.6.6" for target in targets),
    ]
    return found


@pytest.fixture(scope="module")
def at() -> Iterator[tuple[str, ...]]:
    """The service that lists the hostile names beside its peers."""
    with serving(hostile(LABELS)) as server:
        yield SERVICE, "--nameserver", server


@pytest.fixture(scope="module")
def alone() -> Iterator[tuple[str, ...]]:
    """A service that lists nothing else, so that the error names them."""
    everything = hostile(LABELS)
    lines = [line for line in everything[OWNER, "SRV"] if not re.search(r"db-\d\.db", line)]
    with serving({(OWNER, "SRV"): lines}) as server:
        yield SERVICE, "--nameserver", server


@pytest.mark.parametrize("output", ["table", "json", "names", "addresses", "hostnames"])
def test_the_terminal_and_json(at: tuple[str, ...], output: str) -> None:
    done = peerdisco("peers", *at, "-v", "-o", output)
    assert done.status == 0
    assert not CONTROL.search(done.out + done.err)
    assert "10.66.6.6" not in done.out
    if output == "json":
        facts = json.loads(done.out)
        assert [peer["name"] for peer in facts["peers"]] == sorted(TRUTH)
    if output == "names":
        assert done.out.split() == sorted(TRUTH)


def test_an_error_names_them_escaped_and_in_one_line(alone: tuple[str, ...]) -> None:
    done = peerdisco("peers", *alone)
    assert done.status != 0
    assert not CONTROL.search(done.complaint)


def test_the_environment_and_the_standard_input_of_a_hook(
    at: tuple[str, ...], script: Callable[..., str]
) -> None:
    hook = script("hook", "cat", "env | grep ^PEERDISCO_")
    done = peerdisco(
        *("run", *at, "--on-start", hook),
        env={**QUICK, "POD_NAME": "db-1", "POD_NAMESPACE": "shop"},
    )
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[:3] == [f"{name}.{SERVICE}" for name in TRUTH]
    assert f"PEERDISCO_PEERS={' '.join(TRUTH)}" in lines
    assert not CONTROL.search(done.out + done.err)
    assert {line.partition("=")[0] for line in lines[3:]} <= {
        line.partition("=")[0] for line in lines if line.startswith("PEERDISCO_")
    }, "no name begins a variable of its own"


NAMES = [
    "db'; DROP TABLE mysql.user; -- ",
    'db"',
    "db\\",
    "db\n",
    "db\0",
    "\x1b[2J",
    "db.example; reboot",
    "\N{RIGHT-TO-LEFT OVERRIDE}db",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_sql(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        host_name(f"{name}.{SERVICE}")
    assert str(caught.value).isprintable()
    inside = literal(name)[1:-1]
    assert not re.search(r"(?<!\\)(\\\\)*['\"\n\0\x1a]", inside), "nothing ends the literal"
    assert not re.search(r"(?<!\\)(\\\\)*\\$", inside)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_labels_of_prometheus(name: str) -> None:
    """The only texts of a server that metrics have; names of peers they have none."""
    import prometheus_client as client
    from prometheus_client import core

    class Collector:
        def collect(self) -> Iterator[object]:
            yield core.InfoMetricFamily("server", "The server.", {"version": name})

    registry = client.CollectorRegistry()
    registry.register(Collector())
    rendered = client.generate_latest(registry).decode()
    assert len(rendered.rstrip("\n").split("\n")) == 3, "two lines of comment, and the sample"
