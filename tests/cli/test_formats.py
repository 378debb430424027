"""The output formats: JSON by its schema, YAML, templates and the wide table."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import peerdisco.cli
from peerdisco import cli
from peerdisco.exceptions import ResolverUnavailable
from peerdisco.model import Change, Peer, Ports, Snapshot
from peerdisco.testing import ClusterDNS, peers
from peerdisco.wording.as_yaml import as_yaml
from tests.hooks.running import running

SERVICE = "my-database.default.svc.cluster.local"
SCHEMA = json.loads((Path(peerdisco.cli.__file__).parent / "schema.json").read_text())
ERROR = ResolverUnavailable(SERVICE, ())


def valid(value: object) -> bool:
    import jsonschema

    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=checker)
    return bool(validator.is_valid(json.loads(json.dumps(value))))


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDISCO_SOURCE", "static:mysql-0=10.0.0.1:3306,mysql-1=fd00::2")


def output(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert cli.main([*args[:1], SERVICE, *args[1:]]) == 0
    return capsys.readouterr().out


SNAPSHOTS = [
    Snapshot(SERVICE),
    Snapshot(SERVICE, last_error=ERROR),
    Snapshot(SERVICE, peers("mysql", 3).peers, incomplete_reason="cut"),
    Snapshot(SERVICE, (*peers("mysql", 1).peers, *peers("web", 1).peers)),
    Snapshot(
        SERVICE,
        (Peer("a-0", 0, "a", "a-0.x", (ip_address("fd00::1"),), Ports({"x": 1}), True, "east"),),
    ),
]


@pytest.mark.parametrize("snapshot", SNAPSHOTS)
def test_what_python_and_hooks_write_matches_the_schema(snapshot: Snapshot) -> None:
    assert valid(snapshot.as_dict())
    assert valid({**Change.between(None, snapshot).as_dict(), "at": "2026-01-01T12:00:00.000Z"})


def test_the_schema_refuses_what_breaks_the_promise() -> None:
    good = Change.between(SNAPSHOTS[1], SNAPSHOTS[2]).as_dict()
    good["at"] = "2026-01-01T12:00:00.000Z"
    assert valid(good)
    for key in SCHEMA["$defs"]["change"]["required"]:
        assert not valid({name: value for name, value in good.items() if name != key}), key
    assert not valid({**good, "stale": "no"})
    assert not valid({**good, "details": [{"name": "mysql-0"}]})
    membership = SNAPSHOTS[2].as_dict()
    for key in (*SCHEMA["$defs"]["facts"]["required"], "peers"):
        assert not valid({name: value for name, value in membership.items() if name != key}), key


@pytest.mark.usefixtures("static")
@pytest.mark.parametrize("command", ["peers", "primary", "backup-candidate", "wait"])
def test_what_the_commands_print_matches_the_schema(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--required", "1") if command == "wait" else ()
    as_json = json.loads(output(capsys, command, "-o", "json", *more))
    assert valid(as_json)
    assert yaml.safe_load(output(capsys, command, "-o", "yaml", *more)) == as_json


def test_the_lines_of_watch_match_the_schema(dns: ClusterDNS, env: dict[str, str]) -> None:
    with running("watch", "my-database", "-o", "json", env=env) as watch:
        assert valid(json.loads(watch.line()))
        with dns.fail("servfail"):
            degraded = json.loads(watch.line())
            assert valid(degraded)
            assert len(degraded["details"]) == 3, "the last known peers stay"
        assert valid(json.loads(watch.line()))


def test_watch_writes_a_yaml_document_for_each_change(dns: ClusterDNS, env: dict[str, str]) -> None:
    with running("watch", "my-database", "-o", "yaml", env=env) as watch:
        lines = [watch.line()]
        while not lines[-1].startswith("    cluster") or len(lines) < 50:
            lines.append(watch.line())
            if lines[-1].strip() == "cluster: null" and "mysql-2" in "".join(lines[-12:]):
                break
        document = yaml.safe_load("\n".join(lines[1:]))
        assert lines[0] == "---"
        assert document["peers"] == ["mysql-0", "mysql-1", "mysql-2"]
        watch.end()


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_yaml_is_read_back_as_it_was(value: Any) -> None:
    assert yaml.safe_load(as_yaml(value)) == value


@pytest.mark.parametrize(
    "text",
    ["yes", "null", "1e3", "0x1f", "12:30", "~", "", " x", "- a", "a: b", "#", "1_000", "=", "NO"],
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert yaml.safe_load(as_yaml({text: [text]})) == {text: [text]}


@pytest.mark.usefixtures("static")
def test_a_template_prints_a_line_for_each_peer(capsys: pytest.CaptureFixture[str]) -> None:
    text = "{name} {address}:{port} {endpoint} {role} {{}}"
    assert output(capsys, "peers", "--format", text).splitlines() == [
        "mysql-0 10.0.0.1:3306 10.0.0.1:3306 primary {}",
        "mysql-1 fd00::2:- - - {}",
    ]
    assert output(capsys, "primary", "--format", "{name} {ready}") == "mysql-0 -\n"


@pytest.mark.parametrize(
    "text",
    ["{name.__class__}", "{name[0]}", "{0}", "{}", "{nme}", "{name!r}", "{name:>9}", "{", "}", ""],
)
def test_a_template_has_nothing_but_fields(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["peers", SERVICE, "--format", text]) == 2
    error = capsys.readouterr().err
    assert "argument --format: got" in error
    assert repr(text.strip("{}") if len(text) > 1 else text) in error, "the whole field is named"
    assert len(error.splitlines()) == 1


def test_watch_with_a_template_prints_what_changed(dns: ClusterDNS, env: dict[str, str]) -> None:
    with running("watch", "my-database", "--format", "{event} {name}", env=env) as watch:
        assert [watch.line() for _ in range(3)] == [f"joined mysql-{n}" for n in range(3)]
        with dns.fail("servfail"):
            pass
        dns.statefulset("web", service="my-database", replicas=1)
        assert watch.line() == "joined web-0"
        watch.end()


@pytest.mark.usefixtures("static")
def test_the_wide_table_has_the_host_names(capsys: pytest.CaptureFixture[str]) -> None:
    header, first, _ = output(capsys, "peers", "-o", "wide").splitlines()
    assert header.split()[-3:] == ["STATEFULSET", "READY", "HOSTNAME"]
    assert first.split()[-1] == f"mysql-0.{SERVICE}"
