"""The pure parts: caches from TTLs, replicas from lists, suggestions, and the report."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address

import pytest

from peerdisco.cli.commands.doctor import exit_status
from peerdisco.dns import wire
from peerdisco.dns.transport import exchange_udp
from peerdisco.doctor.checks.answers import check_answers, compressed_size
from peerdisco.doctor.dns_facts import Timing, examine_server
from peerdisco.doctor.facts import (
    DnsFacts,
    Exchange,
    Facts,
    PodFacts,
    Request,
    ServerFacts,
    Setting,
)
from peerdisco.doctor.findings import Finding, Fix, Status, ok, problem, unknown, warning
from peerdisco.doctor.fixes import doctor
from peerdisco.doctor.report import report_json, report_lines, summary
from peerdisco.doctor.suggestions import closest, service_candidates
from peerdisco.model import Outcome, Peer
from peerdisco.names import parse_nameserver, parse_service
from peerdisco.testing import ClusterDNS

SERVICE = parse_service("db.default.svc.cluster.local")
NAME = wire.name_from_text(SERVICE.fqdn)


def exchange(at: float = 0.0, ttl: int = 5, pods: int = 3, flags: int = 0x8400) -> Exchange:
    records: list[wire.Record] = [
        wire.Srv(NAME, ttl, 0, 1, 3306, wire.name_from_text(f"db-{n}.{SERVICE.fqdn}"))
        for n in range(pods)
    ]
    message = wire.Message(0, flags, 0, (), records, [], [], 1232)
    return Exchange("10.96.0.10:53", "udp", "SRV", Outcome.ANSWER, at, 0.001, "", message, 100)


def facts(*samples: Exchange) -> Facts:
    one = exchange()
    server = ServerFacts("10.96.0.10:53", one, one, one, one, one, (one, one), samples)
    return Facts(PodFacts(False), Request(SERVICE), DnsFacts((server,)), 1_800_000_000)


def found(given: Facts, check: str) -> Finding:
    return next(finding for finding in check_answers(given) if finding.check == check)


def test_a_ttl_that_counts_down_shows_a_cache() -> None:
    cache = found(facts(*(exchange(at, 30 - int(at)) for at in (0.0, 1.1, 2.2))), "cache")
    assert cache.facts["cached"] is True
    assert "counts down" in cache.found


def test_a_ttl_that_stays_shows_none() -> None:
    cache = found(facts(*(exchange(at, 30) for at in (0.0, 1.1, 2.2))), "cache")
    assert cache.facts["cached"] is False


@pytest.mark.parametrize("ttl", [5, 30, 61, 600, 3600])
def test_a_constant_ttl_is_no_age_in_a_cache(ttl: int) -> None:
    """As that of Docker's DNS, which sends 600 with each answer."""
    cache = found(facts(*(exchange(at * 1.1, ttl) for at in range(6))), "cache")
    assert cache.status is Status.OK
    assert cache.found.endswith("no cache was seen; a departure is confirmed after 4 s or more")
    assert cache.facts["hold"] == 4.0


def test_two_answers_are_too_few_to_trust_a_long_ttl() -> None:
    """Each may come from another cache, which the query filled."""
    cache = found(facts(*(exchange(at * 1.1, 600) for at in range(2))), "cache")
    assert cache.status is Status.WARNING
    cache = found(facts(exchange(0.0, 600)), "cache")
    assert cache.status is Status.WARNING
    assert cache.facts["cached"] is None
    assert cache.facts["hold"] == 604.0


def test_a_long_ttl_that_counts_down_is_an_age_in_a_cache() -> None:
    cache = found(facts(*(exchange(at * 1.1, 600 - at) for at in range(6))), "cache")
    assert cache.status is Status.WARNING
    assert cache.facts["hold"] == 604.0


@pytest.mark.parametrize(("ttl", "queries"), [(5, 3 + 1), (60, 3 + 1), (61, 3 + 5)])
async def test_a_long_ttl_is_asked_for_more_often(ttl: int, queries: int) -> None:
    async with ClusterDNS(ttl=ttl) as dns:
        dns.statefulset("db", service="db")
        timing = Timing(burst=3, later=1, longest=5, pause=0.0)
        server = await examine_server(parse_nameserver(dns.nameserver), SERVICE, timing)
    assert len(server.samples) == queries


@pytest.mark.parametrize(
    ("pods", "status"),
    [
        ((3, 3, 3, 3), Status.OK),
        ((3, 3, 2, 2), Status.OK),  # a scale-down in between
        ((3, 2, 3, 2), Status.WARNING),
        ((3, 3, 2, 3), Status.WARNING),
    ],
)
def test_replicas_disagree_if_a_list_comes_back(pods: tuple[int, ...], status: Status) -> None:
    samples = [exchange(at, pods=count) for at, count in enumerate(pods)]
    assert found(facts(*samples), "replicas-agree").status is status


def test_a_truncated_answer_is_compared_with_none() -> None:
    samples = [exchange(at, pods=count, flags=0x8600) for at, count in enumerate((3, 2, 3, 2))]
    finding = found(facts(*samples), "replicas-agree")
    assert finding.status is Status.UNKNOWN
    assert exit_status((finding,)) == 0


@pytest.mark.parametrize(("pods", "fits"), [(14, True), (15, True), (16, True), (17, False)])
async def test_the_computed_size_is_that_of_coredns(pods: int, fits: bool) -> None:
    """The answer is truncated over UDP just where its computed size is too large."""
    async with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=pods)
        reply = await exchange_udp(
            parse_nameserver(dns.nameserver),
            wire.query(0, NAME, wire.SRV),
            lambda _, reply: wire.read(reply),
        )
        targets = [r.target for r in reply.answers if isinstance(r, wire.Srv)]
    peers = [
        Peer(f"db-{n}", n, "db", f"db-{n}.{SERVICE.fqdn}", (IPv4Address("10.0.0.1"),), {"": 3306})
        for n in range(pods)
    ]
    size = compressed_size(SERVICE, peers)
    assert (size <= 1232) is (not reply.truncated), (size, len(targets))
    assert fits is (not reply.truncated)


def test_similar_names() -> None:
    assert closest("mysq", ["mysql", "postgres"]) == ("mysql",)
    assert closest("x", ["mysql"]) == ()


def test_candidates_are_the_services_that_this_pod_shows() -> None:
    found = service_candidates(
        parse_service("orders.shop.svc.cluster.local"),
        ["db-0.order.shop.svc.cluster.local"],
        "db.shop.svc.cluster.local",
        "shop",
        {"ORDERS_READ_SERVICE_HOST": "10.96.1.1", "METRICS_SERVICE_HOST": "10.96.1.2"},
    )
    assert found == (
        "db.shop.svc.cluster.local",
        "order.shop.svc.cluster.local",
        "orders.default.svc.cluster.local",
        "orders.orders.svc.cluster.local",
        "orders-read.shop.svc.cluster.local",
    )


def test_the_next_command_keeps_the_options() -> None:
    given = {"--nameserver": ("10.0.0.1", "10.0.0.2"), "--port-name": ("x",)}
    settings = {name: Setting(values, name) for name, values in given.items()}
    settings["--statefulset"] = Setting(("mysql",), "PEERDISCO_STATEFULSET")
    request = Request(SERVICE, settings=settings)
    assert doctor(request, "db", {"--port-name": None, "--ordinal": "5"}) == (
        "peerdisco doctor db --nameserver 10.0.0.1 --nameserver 10.0.0.2 --ordinal 5"
    )
    assert doctor(Request(SERVICE), "$(reboot)") == "peerdisco doctor '$(reboot)'"


FIX = Fix("Do this.", "kubectl get pods", "env:\n- name: A", "SELECT 1")
FINDINGS = (
    ok("one", "fine", number=1),
    warning("two", "a \x1b[31m name", "it matters", FIX),
    problem("three", "bad " * 40, "it matters", FIX),
)


def test_the_report_shows_each_finding_and_the_counts() -> None:
    lines = list(report_lines(FINDINGS, width=60))
    assert lines[0] == "ok       one: fine"
    assert lines[1] == "warning  two: a \\x1b[31m name"
    assert lines[2:7] == [
        "         why: it matters",
        "         fix: Do this.",
        "              kubectl get pods",
        "              SELECT 1",
        "              env:",
    ]
    assert max(map(len, lines[:-1])) <= 60
    assert lines[-1] == "1 problem (three); 1 warning (two); 1 ok"
    assert summary(()) == "nothing was checked"


def test_colours_change_nothing_but_colours() -> None:
    plain, coloured = report_lines(FINDINGS), report_lines(FINDINGS, colour=True)
    assert list(plain) == [re.sub("\x1b\\[[0-9]*m", "", line) for line in coloured]


def test_the_json_has_every_key() -> None:
    given = report_json(FINDINGS, version="1", at="now", service=None, pod="db-0")
    assert json.loads(json.dumps(given)) == given
    assert given["status"] == "problem"
    assert given["counts"] == {"problem": 1, "warning": 1, "unknown": 0, "ok": 1}
    assert given["findings"][0]["fix"] is None
    assert given["findings"][1]["fix"] == {
        "text": "Do this.", "command": "kubectl get pods", "yaml": "env:\n- name: A",
        "sql": "SELECT 1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ((), 0),
        (FINDINGS[:2], 0),
        (FINDINGS, 1),
        ((unknown("cache", "?", "why"),), 2),
        ((unknown("clock", "?", "why"),), 0),
        ((unknown("cache", "?", "why"), FINDINGS[2]), 1),
    ],
)
def test_the_exit_status(findings: tuple[Finding, ...], status: int) -> None:
    assert exit_status(findings) == status
