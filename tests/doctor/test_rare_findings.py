"""Findings over facts alone: what no broken set-up of `test_broken` shows."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from peerdisco.dns import wire
from peerdisco.doctor.checks.answers import check_answers
from peerdisco.doctor.checks.members import check_members
from peerdisco.doctor.checks.mysql import check_database
from peerdisco.doctor.checks.nameservers import check_nameservers
from peerdisco.doctor.checks.pod import check_pod
from peerdisco.doctor.checks.resolv_conf import check_resolv_conf
from peerdisco.doctor.checks.service import check_service
from peerdisco.doctor.database import DatabaseFacts, PeerServer
from peerdisco.doctor.facts import (
    DnsFacts,
    Exchange,
    Facts,
    Known,
    Lookup,
    NamedPort,
    PodFacts,
    Request,
    ServerFacts,
    Setting,
)
from peerdisco.doctor.findings import Status, unknown
from peerdisco.doctor.report import report_lines
from peerdisco.doctor.suggestions import service_candidates
from peerdisco.exceptions import NotHeadless, ResolverUnavailable, StaleAnswer, UnusableAnswer
from peerdisco.model import Answered, Empty, Failed, Observation, Outcome
from peerdisco.names import parse_service
from peerdisco.testing import peers

from ..unit.mysql import servers
from .world import one

SERVICE = parse_service("db.default.svc.cluster.local")
OUTSIDE = parse_service("db.example.com.")
NAME = wire.name_from_text(SERVICE.fqdn)
SERVER = "10.96.0.10:53"


def listed(count: int = 3, **given: int) -> Answered:
    return peers("db", count, service="db", **given)


def facts(
    observation: Observation | None = None,
    *,
    request: Request | None = None,
    pod: PodFacts | None = None,
    **dns: object,
) -> Facts:
    lookup = Lookup(observation) if observation is not None else None
    return Facts(
        pod or PodFacts(False),
        request or Request(SERVICE),
        DnsFacts(lookup=lookup, **dns),  # type: ignore[arg-type]
        1_800_000_000,
    )


def server(*ttls: int, extra: tuple[wire.Record, ...] = ()) -> ServerFacts:
    """A server of the zone; its samples have these TTLs."""

    def exchange(at: float, ttl: int) -> Exchange:
        target = wire.name_from_text(f"db-0.{SERVICE.fqdn}")
        records = [wire.Srv(NAME, ttl, 0, 1, 3306, target), *extra]
        message = wire.Message(0, 0x8400, 0, (), records, [], [], 1232)
        return Exchange(SERVER, "udp", "SRV", Outcome.ANSWER, at, 0.001, "", message, 100)

    first = exchange(0.0, 5)
    samples = tuple(exchange(float(at), ttl) for at, ttl in enumerate(ttls))
    return ServerFacts(SERVER, first, first, first, first, first, (first, first), samples)


# A fixed list, and no pod.


def test_a_fixed_list_is_not_looked_up() -> None:
    fixed = facts(request=Request(SERVICE, fixed_list=True), servers=(server(5, 5),))
    for check in (check_answers, check_members, check_service):
        assert list(check(fixed)) == []
    assert "DNS is not queried" in one(check_nameservers(fixed), "nameservers", Status.OK).found


def test_outside_a_pod_its_own_files_say_nothing() -> None:
    outside = facts()
    assert list(check_resolv_conf(outside)) == []
    (finding,) = check_pod(outside)
    assert (finding.status, finding.check) == (Status.OK, "identity")


def test_an_option_that_cannot_be_used_is_repeated_as_it_is() -> None:
    error = "--interval: got '-1', expected seconds above 0"
    finding = one(
        check_pod(facts(request=Request(None, unusable=error))), "configuration", Status.PROBLEM
    )
    assert finding.found == error


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        (None, "as the argument."),
        (Setting(("db",), "PEERDISCO_SERVICE"), "in PEERDISCO_SERVICE."),
        (Setting(("db",), "the argument"), "as the argument, or use --namespace."),
    ],
)
def test_a_namespace_is_added_where_the_service_is_named(
    setting: Setting | None, where: str
) -> None:
    error = "the namespace of 'db' is not known"
    settings = {"SERVICE": setting} if setting is not None else {}
    given = facts(request=Request(None, unusable=error, settings=settings))
    fix = one(check_pod(given), "configuration", Status.PROBLEM).fix
    assert fix is not None
    assert fix.text.startswith(f"Name the service as NAME.NAMESPACE {where}")


# The service.


def test_records_that_name_no_pod() -> None:
    error = UnusableAnswer(SERVICE.fqdn, (), (("other.example.com.", "another domain"),))
    finding = one(check_service(facts(Failed(error))), "service-headless", Status.PROBLEM)
    assert "other.example.com.: another domain" in finding.found
    assert finding.fix is not None
    assert "kubectl get endpointslices" in finding.fix.command


def test_a_failed_lookup_says_nothing_about_the_service() -> None:
    error = ResolverUnavailable(SERVICE.fqdn, ())
    finding = one(check_service(facts(Failed(error))), "service-exists", Status.UNKNOWN)
    assert (finding.found, finding.fix) == (str(error), None)
    behind = facts(Failed(error), servers=(server(),))
    assert one(check_service(behind), "service-exists", Status.UNKNOWN).fix is not None


def test_a_name_outside_a_cluster_gets_no_commands_for_one() -> None:
    given = facts(Empty(Outcome.NXDOMAIN), request=Request(OUTSIDE))
    finding = one(check_service(given), "service-exists", Status.PROBLEM)
    assert finding.fix is not None
    assert (finding.fix.text, finding.fix.command) == ("Check the name db.example.com.", "")


def test_a_name_outside_a_cluster_that_may_mean_another_gets_no_commands_for_one() -> None:
    given = facts(Empty(Outcome.NXDOMAIN), request=Request(OUTSIDE), services=(SERVICE.fqdn,))
    fix = one(check_service(given), "service-exists", Status.PROBLEM).fix
    assert fix is not None
    assert SERVICE.fqdn in fix.text
    assert "kubectl" not in fix.command


def test_an_alias_outside_a_cluster_gets_no_commands_for_one() -> None:
    error = NotHeadless(OUTSIDE.fqdn, (), alias="db.example.org.")
    given = facts(Failed(error), request=Request(OUTSIDE))
    fix = one(check_service(given), "service-headless", Status.PROBLEM).fix
    assert fix is not None
    assert fix.text == "Use the name of a headless service of the cluster; db.example.org. is none."
    assert fix.command == ""


def test_a_cluster_ip_that_is_not_known() -> None:
    finding = one(
        check_service(facts(Failed(NotHeadless(SERVICE.fqdn, ())))),
        "service-headless", Status.PROBLEM,
    )  # fmt: skip
    assert finding.found.endswith("it has a cluster IP")
    assert finding.fix is not None
    assert "name: db-pods" in finding.fix.yaml


def test_a_record_of_another_kind_names_no_pod() -> None:
    alias = wire.Address(NAME, 5, ip_address("10.0.0.9").packed)
    found = list(check_service(facts(listed(), servers=(server(5, extra=(alias,)),))))
    assert one(found, "service-exists", Status.OK).facts["pods"] == 3


@pytest.mark.parametrize(("ports", "status"), [({"": 3306}, Status.OK), ({}, Status.PROBLEM)])
def test_addresses_without_names_matter_to_a_service_without_ports(
    ports: dict[str, int], status: Status
) -> None:
    found = listed(ports=ports)  # type: ignore[arg-type]
    given = facts(found, nameless=("10.0.0.1",), reversed_=3)
    finding = one(check_service(given), "reverse-names", status)
    assert "1 of 3 listed addresses: 10.0.0.1" in finding.found
    assert not [f for f in check_service(facts(found)) if f.check == "reverse-names"]


def test_a_port_that_could_not_be_looked_up() -> None:
    failed = Failed(ResolverUnavailable(SERVICE.fqdn, ()))
    given = facts(
        listed(),
        request=Request(SERVICE, port_names=("mysql",)),
        named_ports=(NamedPort("mysql", Lookup(failed)),),
    )
    finding = one(check_service(given), "port-name", Status.UNKNOWN)
    assert finding.found.startswith("the port 'mysql' (tcp) could not be looked up: ")


# Its answers.


def test_a_server_without_samples_says_nothing_about_caches() -> None:
    found = [finding.check for finding in check_answers(facts(listed(), servers=(server(),)))]
    assert "cache" not in found
    assert "kubernetes-api" in found


def test_answers_that_are_served_stale() -> None:
    error = StaleAnswer(SERVICE.fqdn, (), 30.0)
    given = facts(Failed(error), servers=(server(5, 0, 5),))
    finding = one(check_answers(given), "served-stale", Status.PROBLEM)
    assert finding.found == str(error)


def test_some_answers_that_are_served_stale() -> None:
    finding = one(
        check_answers(facts(listed(), servers=(server(5, 0, 5),))), "served-stale", Status.WARNING
    )
    assert finding.facts["servers"] == [SERVER]


# Its pods.


def test_a_statefulset_of_which_no_pod_has_a_name() -> None:
    nameless = replace(
        listed(), peers=tuple(replace(p, statefulset=None, ordinal=None) for p in listed().peers)
    )
    request = Request(SERVICE, statefulset="web")
    finding = one(check_members(facts(nameless, request=request)), "statefulset", Status.PROBLEM)
    assert finding.found == "no pod of the StatefulSet 'web' is listed (listed: none)"
    assert finding.fix is not None
    assert "--statefulset" not in finding.fix.command


@pytest.mark.parametrize(("own", "status"), [("db", Status.PROBLEM), ("other", Status.OK)])
def test_a_pod_that_names_the_service_is_expected_behind_it(own: str, status: Status) -> None:
    known = {"pod name": Known("web-0", "POD_NAME"), "service": Known(own, "PEERDISCO_SERVICE")}
    pod = PodFacts(True, known=known, statefulset="web", ordinal=0)
    (finding,) = [f for f in check_members(facts(listed(), pod=pod)) if f.check == "own-pod"]
    assert finding.status is status


# Suggestions, and the report.


def test_no_candidates_outside_a_cluster() -> None:
    assert service_candidates(OUTSIDE, [], None, "shop", {"DB_SERVICE_HOST": "10.96.1.1"}) == ()


def test_a_namespace_that_is_no_label_is_no_candidate() -> None:
    assert service_candidates(SERVICE, [], None, "no label", {}) == ("db.db.svc.cluster.local",)


def test_a_finding_without_a_fix() -> None:
    assert list(report_lines((unknown("cache", "not known", "It was not asked."),))) == [
        "unknown  cache: not known",
        "         why: It was not asked.",
        "",
        "1 unknown (cache)",
    ]


# The database.


def database(variables: dict[str, str], *peers: PeerServer, read_only: bool) -> DatabaseFacts:
    server = servers.facts(server_id=101, read_only=read_only)
    return DatabaseFacts("127.0.0.1:3306", (), server, variables, (), peers)


def test_pages_that_a_crash_may_tear_are_named() -> None:
    found = check_database(database({"innodb_doublewrite": "OFF"}, read_only=True))
    finding = one(found, "mysql-durability", Status.WARNING)
    assert "innodb_doublewrite is OFF, not ON" in finding.found


@pytest.mark.parametrize(("read_only", "writers"), [(True, None), (False, "db-0, this server")])
def test_only_servers_that_accept_writes_are_writers(read_only: bool, writers: str | None) -> None:
    primary = PeerServer("db-0", server_id=100, read_only=False)
    found = [
        finding
        for finding in check_database(database({}, primary, read_only=read_only))
        if finding.check == "mysql-writers" and finding.status is Status.PROBLEM
    ]
    assert [finding.found for finding in found] == (
        [] if writers is None else [f"several servers accept writes: {writers}"]
    )
