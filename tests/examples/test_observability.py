"""The dashboard and the alert rules use only what the code exports, and Prometheus takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import prometheus_client as prometheus
import pytest
import yaml

from tests.docs.markdown import ROOT

EXAMPLE = ROOT / "examples" / "observability"
PROMTOOL = shutil.which("promtool")
SCRAPED = {"le", "instance", "job"}
"""Labels that Prometheus adds."""


def exported() -> dict[str, set[str]]:
    """The samples that the code exports, with their labels."""
    from peerdisco.observability.prometheus import PrometheusObserver

    registry = prometheus.CollectorRegistry()
    PrometheusObserver(registry)
    collectors = registry._names_to_collectors
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        labels = set(getattr(collectors.get(family.name), "_labelnames", ("service",)))
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        for suffix in suffixes.get(family.type, ("",)):
            found[f"{family.name}{suffix}"] = labels
    return found | sidecars()


def sidecars() -> dict[str, set[str]]:
    """The samples of the sidecar for MySQL, from its source."""
    found = {}
    for path in (ROOT / "peerdisco" / "mysql" / "sidecar").glob("*.py"):
        for kind, name, rest in re.findall(
            r'(Gauge|Counter|Info)MetricFamily\(\s*"(peerdisco_mysql_\w+)",(.*?)\n\s*\)',
            path.read_text(),
            re.DOTALL,
        ):
            suffix = {"Gauge": "", "Counter": "_total", "Info": "_info"}[kind]
            labels = re.search(r"labels=\[(.*?)\]", rest)
            found[name + suffix] = set(re.findall(r'"(\w+)"', labels[1])) if labels else set()
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, and where it stands."""
    for group in yaml.safe_load((EXAMPLE / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((EXAMPLE / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]


ALL = list(expressions())


@pytest.mark.parametrize(("where", "expression"), ALL)
def test_an_expression_uses_what_is_exported(where: str, expression: str) -> None:
    known = exported()
    names = re.findall(r"\bpeerdisco_\w+", expression)
    assert names, where
    for name in names:
        assert name in known, f"{where}: {name} is not exported"
    labels = {label for name in names for label in known[name]} | SCRAPED
    selected = re.findall(r"[{,]\s*(\w+)\s*(?:=|!)", expression)
    grouped = ",".join(re.findall(r"\bby \(([^)]*)\)", expression)).replace(" ", "").split(",")
    assert set(selected) | set(filter(None, grouped)) <= labels, where


def test_the_legends_and_annotations_use_labels_that_are_there() -> None:
    labels = {label for found in exported().values() for label in found} | SCRAPED
    text = (EXAMPLE / "dashboard.json").read_text() + (EXAMPLE / "alerts.yaml").read_text()
    used = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text))
    assert used
    assert used <= labels


def test_every_alert_is_tested() -> None:
    tests = yaml.safe_load((EXAMPLE / "alerts.test.yaml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    rules = {name for name, _ in ALL if name.startswith("Peerdisco")}
    assert rules - fired <= {"PeerdiscoMembershipIncomplete", "PeerdiscoMembershipFlaps"}


def test_most_metrics_are_on_the_dashboard() -> None:
    dashboard = (EXAMPLE / "dashboard.json").read_text()
    hidden = {
        name for name in exported() if re.sub("_(bucket|count|sum)$", "", name) not in dashboard
    }
    assert not {name for name in hidden if not name.startswith("peerdisco_mysql")} - {
        "peerdisco_membership_known",
        "peerdisco_last_answer_timestamp_seconds",
    }


@pytest.mark.skipif(PROMTOOL is None, reason="this machine has no promtool (Debian: prometheus)")
def test_the_rules_do_what_their_tests_say() -> None:
    assert PROMTOOL is not None
    for args in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")):
        done = subprocess.run(
            [PROMTOOL, *args], cwd=EXAMPLE, capture_output=True, text=True, timeout=50, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="this machine has no promtool (Debian: prometheus)")
def test_prometheus_reads_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, (_, text) in enumerate(ALL)
        if not text.startswith("label_values")
        for expression in [text.replace("$__rate_interval", "5m").replace("$service", ".*")]
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", file], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
