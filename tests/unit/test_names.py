"""Names of pods, services, ports, domains and name servers."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from peerdisco.exceptions import ConfigurationError, IdentityError
from peerdisco.names import (
    Endpoint,
    ServiceName,
    address_with_dashes,
    cluster_of_search_domains,
    dashed_address,
    ordinal_of,
    parse_domain,
    parse_endpoint,
    parse_nameserver,
    parse_namespace,
    parse_pod_name,
    parse_port_name,
    parse_protocol,
    parse_seconds,
    parse_service,
    reject_text,
    reverse_name,
    srv_prefix,
)

# Pods.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mysql-0", ("mysql", 0)),
        ("mysql-10", ("mysql", 10)),
        ("db-1-0", ("db-1", 0)),
        ("db-0-1", ("db-0", 1)),
        ("my-database-3", ("my-database", 3)),
        ("a-0", ("a", 0)),
        ("0-0", ("0", 0)),
        ("1-2-3", ("1-2", 3)),
        ("1-2-3-4-5", ("1-2-3-4", 5)),
        ("256-2-3-4", ("256-2-3", 4)),
        ("db-2147483647", ("db", 2**31 - 1)),
        ("my.db-0", ("my.db", 0)),
        ("abc-def-0", ("abc-def", 0)),
        ("e" * 63 + "-0", ("e" * 63, 0)),
        ("e" * 251 + "-0", ("e" * 251, 0)),
    ],
)
def test_a_pods_name_is_the_statefulset_and_the_ordinal(
    name: str, expected: tuple[str, int]
) -> None:
    assert parse_pod_name(name) == expected
    assert ordinal_of(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0",
        "-",
        "-0",
        "mysql",
        "mysql-",
        "mysql-a",
        "mysql0",
        "mysql-0a",
        "mysql--0",  # a StatefulSet's name ends with a letter or a digit
        "mysql.-0",
        "-mysql-0",
        ".mysql-0",
        "my..sql-0",
        "my.-sql-0",
        "my-.sql-0",
        "mysql-0.",
        "mysql-0.db",
        "mysql-0.db.default.svc.cluster.local",
        "mysql-00",
        "mysql-01",
        "mysql-007",
        "mysql-+1",
        "mysql- 1",
        "mysql-1 ",
        " mysql-1",
        "mysql-0\n",
        "mysql\n-0",
        "\nmysql-0",
        "mysql-0\0",
        "mysql-1_0",
        "my_sql-0",
        "MySQL-0",
        "mysql-٣",
        "mysql-²",
        "mysql-０",
        "mýsql-0",
        "mysql-2147483648",
        "mysql-4294967296",
        "mysql-10000000000",
        "mysql-" + "9" * 5000,
        "e" * 252 + "-0",
        "10-244-1-0",
        "255-255-255-255",
        "0-0-0-0",
        "fd00-10-244--1",
        "fd00-10-244-0-0-0-0-5",
        "2001-db8--0",
        "mysql-0,mysql-1",
        "mysql-0;reboot",
        "$(reboot)-0",
    ],
)
def test_a_name_without_an_ordinal_is_refused(name: str) -> None:
    assert ordinal_of(name) is None
    with pytest.raises(ValueError, match=r"pod name: got .* expected NAME-ORDINAL") as caught:
        parse_pod_name(name)
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.given == name
    assert "\n" not in str(caught.value)


labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)


@given(labels, st.integers(0, 2**31 - 1))
def test_any_statefulset_and_ordinal_come_back(statefulset: str, ordinal: int) -> None:
    name = f"{statefulset}-{ordinal}"
    assume(address_with_dashes(name) is None)
    assert parse_pod_name(name) == (statefulset, ordinal)


@given(st.text() | st.from_regex(r"[-.a-z0-9]{0,20}-[0-9]{1,11}", fullmatch=True))
def test_what_is_parsed_gives_the_name_again(name: str) -> None:
    parts = ordinal_of(name)
    if parts is not None:
        statefulset, ordinal = parts
        assert f"{statefulset}-{ordinal}" == name
        assert 0 <= ordinal < 2**31
        assert re.fullmatch(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?", statefulset)


@given(st.ip_addresses())
def test_the_dashed_form_of_any_address_has_no_ordinal(address: object) -> None:
    dashed = dashed_address(address)  # type: ignore[arg-type]
    # One that begins with a dash is no label, and so no pod's name either.
    assert dashed.startswith("-") or address_with_dashes(dashed) == address
    assert ordinal_of(dashed) is None


@pytest.mark.parametrize(
    ("address", "dashed", "reverse"),
    [
        ("10.244.1.0", "10-244-1-0", "0.1.244.10.in-addr.arpa"),
        ("fd00:10:244::1", "fd00-10-244--1", "1." + "0." * 19 + "4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa"),
        ("fd00:10::", "fd00-10--0", "0." * 24 + "0.1.0.0.0.0.d.f.ip6.arpa"),
    ],
)
def test_an_address_in_names(address: str, dashed: str, reverse: str) -> None:
    assert dashed_address(ip_address(address)) == dashed
    assert reverse_name(ip_address(address)) == reverse


# Services.


def found(service: str, **known: str) -> str:
    return parse_service(
        service, **{"default_namespace": "ns", "default_cluster_domain": "cluster.local", **known}
    ).fqdn


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("db", "db.ns.svc.cluster.local"),
        ("db.", "db"),
        ("db.other", "db.other.svc.cluster.local"),
        ("db.other.svc", "db.other.svc.cluster.local"),
        ("db.other.svc.cluster.local", "db.other.svc.cluster.local"),
        ("db.other.svc.cluster.local.", "db.other.svc.cluster.local"),
        ("db.other.svc.corp", "db.other.svc.corp"),
        ("db.other.svc.k8s.corp.example", "db.other.svc.k8s.corp.example"),
        ("DB.Other.SVC.Cluster.Local", "db.other.svc.cluster.local"),
        (" db ", "db.ns.svc.cluster.local"),
        ("db.example.com.", "db.example.com"),
        ("5", "5.ns.svc.cluster.local"),
    ],
)
def test_each_form_of_a_services_name(service: str, expected: str) -> None:
    assert found(service) == expected
    assert not expected.endswith(".")


def test_the_parts_of_a_services_name() -> None:
    name = parse_service("db.other.svc.corp.example.")
    assert name == ServiceName("db.other.svc.corp.example", "db", "other", "corp.example")
    assert str(name) == "db.other.svc.corp.example"


def test_a_name_outside_a_cluster_has_neither_namespace_nor_domain() -> None:
    assert parse_service("peers.example.com.") == ServiceName(
        "peers.example.com", "peers", None, None
    )


@pytest.mark.parametrize(
    "service",
    [
        "",
        ".",
        "..",
        ".db",
        "db..ns",
        "db..",
        "db.ns.svc..",
        "-db",
        "db-",
        "my_db",
        "_mysql._tcp.db",
        "*",
        "d b",
        "db\nns",
        "db/ns",
        "dß",
        "db.example.com",
        "db.ns.pod.cluster.local",
        "10.0.0.1",
        "a" * 64,
        "db.ns.svc." + ".".join(["a" * 63] * 4),
    ],
)
def test_what_is_no_service_is_refused(service: str) -> None:
    with pytest.raises(ConfigurationError, match="service: got") as caught:
        found(service)
    assert caught.value.given == service
    assert "\n" not in str(caught.value)


def test_an_explicit_namespace_or_domain_wins_over_the_detected_one() -> None:
    assert found("db", namespace="other") == "db.other.svc.cluster.local"
    assert found("db", cluster_domain="corp") == "db.ns.svc.corp"
    assert found("db.there", cluster_domain="corp") == "db.there.svc.corp"


def test_the_name_itself_wins_over_what_is_detected() -> None:
    assert found("db.there.svc.corp") == "db.there.svc.corp"


@pytest.mark.parametrize(
    ("service", "known"),
    [
        ("db.there", {"namespace": "here"}),
        ("db.there.svc.corp", {"namespace": "here"}),
        ("db.there.svc.corp", {"cluster_domain": "cluster.local"}),
        ("db.there.svc.corp.", {"cluster_domain": "cluster.local"}),
    ],
)
def test_a_name_that_contradicts_an_explicit_argument_is_refused(
    service: str, known: dict[str, str]
) -> None:
    argument, required = next(iter(known.items()))
    expected = f"expected the {argument.replace('_', ' ')} '{required}', which is given separately"
    with pytest.raises(ConfigurationError, match=expected):
        found(service, **known)


def test_a_name_that_agrees_with_an_explicit_argument_is_taken() -> None:
    known = {"namespace": "there", "cluster_domain": "corp"}
    assert found("db.there.svc.corp", **known) == "db.there.svc.corp"


def test_the_error_names_the_missing_namespace_and_how_to_give_it() -> None:
    with pytest.raises(IdentityError) as caught:
        parse_service("db", default_cluster_domain="cluster.local")
    assert caught.value.missing == "namespace"
    for way in ("db.NAMESPACE", "namespace=", "--namespace", "POD_NAMESPACE"):
        assert way in str(caught.value)


def test_the_error_names_the_missing_domain_and_how_to_give_it() -> None:
    with pytest.raises(IdentityError) as caught:
        parse_service("db.ns")
    assert caught.value.missing == "cluster domain"
    for way in ("db.ns.svc.DOMAIN", "cluster_domain=", "--cluster-domain", "cluster.local"):
        assert way in str(caught.value)
    assert "PEERDISCO_CLUSTER_DOMAIN" in str(caught.value)


LONGEST = "db.ns.svc." + ".".join(["a" * 60] * 3 + ["a" * 60])


def test_the_longest_name_is_taken_with_and_without_its_dot() -> None:
    assert len(LONGEST) == 253
    assert parse_service(LONGEST).fqdn == LONGEST
    assert parse_service(LONGEST + ".").fqdn == LONGEST


def test_a_name_that_becomes_too_long_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at most 253"):
        parse_service("database", namespace="ns", cluster_domain=LONGEST[10:])


def test_the_error_names_the_variable_that_was_wrong() -> None:
    with pytest.raises(ConfigurationError, match="PEERDISCO_SERVICE: got"):
        parse_service("my db", what="PEERDISCO_SERVICE")


@given(labels, labels, st.lists(labels, min_size=1, max_size=3))
def test_any_fully_qualified_name_stays_what_it_is(
    name: str, namespace: str, domain: list[str]
) -> None:
    fqdn = f"{name}.{namespace}.svc.{'.'.join(domain)}"
    for given_name in (fqdn, fqdn + ".", fqdn.upper()):
        parsed = parse_service(given_name, default_namespace="x", default_cluster_domain="y")
        assert parsed == ServiceName(fqdn, name, namespace, ".".join(domain))


# Namespaces and domains.


@pytest.mark.parametrize("namespace", ["", "Default", "a.b", "-a", "a_b", "a" * 64, "a\n"])
def test_what_is_no_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(ConfigurationError, match="POD_NAMESPACE: got"):
        parse_namespace(namespace, "POD_NAMESPACE")


def test_a_namespace_is_taken_as_it_is() -> None:
    assert parse_namespace("kube-system") == "kube-system"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("cluster.local", "cluster.local"),
        ("Cluster.Local.", "cluster.local"),
        ("corp", "corp"),
    ],
)
def test_a_domain_is_lower_case_without_its_dot(domain: str, expected: str) -> None:
    assert parse_domain(domain) == expected


@pytest.mark.parametrize("domain", ["", ".", "a..b", ".a", "a_b", "a b", ".".join(["a" * 63] * 4)])
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cluster domain: got .* such as cluster\.local"):
        parse_domain(domain)


# The search list.


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (("ns.svc.cluster.local", "svc.cluster.local", "cluster.local"), ("ns", "cluster.local")),
        (("ns.svc.corp.example", "svc.corp.example", "corp.example"), ("ns", "corp.example")),
        (("NS.svc.Cluster.Local.", "SVC.cluster.local."), ("ns", "cluster.local")),
        (("ns.svc.corp", "svc.corp", "corp", "my.svc.office", "svc.office"), ("ns", "corp")),
        (("office.example", "ns.svc.corp", "svc.corp"), ("ns", "corp")),
        (("svc.svc.svc.corp", "svc.svc.corp", "svc.corp"), ("svc", "svc.corp")),
        ((), None),
        (("example.com",), None),
        (("ns.svc.cluster.local",), None),
        (("ns.svc.cluster.local", "cluster.local"), None),
        (("ns.svc.cluster.local", "svc.other.local"), None),
        (("svc.cluster.local", "cluster.local"), None),
        (("a.b.svc.cluster.local", "svc.cluster.local"), None),
    ],
)
def test_the_namespace_and_the_domain_stand_in_the_search_list(
    search: tuple[str, ...], expected: tuple[str, str] | None
) -> None:
    assert cluster_of_search_domains(search) == expected


# Ports.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mysql", "mysql"),
        ("MySQL", "mysql"),
        ("x", "x"),
        ("1a", "1a"),
        ("8080-tcp", "8080-tcp"),
        ("prometheus-metrics", "prometheus-metrics"),
        ("two--hyphens", "two--hyphens"),
        ("3306", "3306"),
        ("0", "0"),
        ("p" * 63, "p" * 63),
    ],
)
def test_a_ports_name(name: str, expected: str) -> None:
    assert parse_port_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        "p" * 64,
        "a_b",
        "a.b",
        "_mysql",
        "mysql\n",
        "mýsql",
    ],
)
def test_what_is_no_ports_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"port name: got .* at most 63 letters"):
        parse_port_name(name)


def test_a_ports_name_of_63_characters_leaves_no_room_for_the_underscore() -> None:
    assert srv_prefix("p" * 62, "tcp") == f"_{'p' * 62}._tcp."
    assert srv_prefix("p" * 63, "tcp") == f"{'p' * 63}._tcp."


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp", "TCP", "Udp"])
def test_a_protocol(protocol: str) -> None:
    assert parse_protocol(protocol) == protocol.lower()


@pytest.mark.parametrize("protocol", ["", "http", "_tcp", "udp ", "tcp,udp"])
def test_what_is_no_protocol_is_refused(protocol: str) -> None:
    with pytest.raises(ConfigurationError, match=r"protocol: got .* expected .tcp., .udp."):
        parse_protocol(protocol)


# Name servers.


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("10.96.0.10", "10.96.0.10", 53),
        ("127.0.0.1:5300", "127.0.0.1", 5300),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("127.0.0.1:1", "127.0.0.1", 1),
        (" 127.0.0.1:5300 ", "127.0.0.1", 5300),
        ("fd00::a", "fd00::a", 53),
        ("FD00:0:0::A", "fd00::a", 53),
        ("::1", "::1", 53),
        ("[fd00::a]", "fd00::a", 53),
        ("[fd00::a]:5300", "fd00::a", 5300),
        ("fe80::1%eth0", "fe80::1%eth0", 53),
    ],
)
def test_a_name_server_as_users_write_it(text: str, address: str, port: int) -> None:
    assert parse_nameserver(text) == Endpoint(address, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "localhost",
        "localhost:53",
        "dns.example.com",
        "10.96.0",
        "10.96.0.256",
        "10.96.0.10.",
        "010.96.0.10",
        "10.96.0.10:",
        "10.96.0.10:0",
        "10.96.0.10:00",
        "10.96.0.10:65536",
        "10.96.0.10:99999999999999999999",
        "10.96.0.10:0000539999999",
        "10.96.0.10:-1",
        "10.96.0.10:+53",
        "10.96.0.10: 53",
        "10.96.0.10:53a",
        "10.96.0.10:domain",
        "10.96.0.10:٥٣",
        "10.96.0.10:53:53",
        "10.96.0.10 53",
        "10.96.0.10,10.96.0.11",
        ":53",
        "fd00::a::b",
        "[fd00::a",
        "fd00::a]",
        "[]",
        "[]:53",
        "[fd00::a]53",
        "[fd00::a]:",
        "[fd00::a]:0",
        "[fd00::a]:65536",
        "[fd00::a]:53:53",
        "[localhost]:53",
        "10.96.0.10\n:53",
        "udp://10.96.0.10",
    ],
)
def test_what_is_no_name_server_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_nameserver(text, "PEERDISCO_NAMESERVERS")
    assert caught.value.what == "PEERDISCO_NAMESERVERS"
    assert caught.value.given == text
    assert "\n" not in str(caught.value)


def test_the_error_says_why_a_host_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a host name"):
        parse_nameserver("kube-dns.kube-system")


@given(st.ip_addresses(), st.integers(1, 65535))
def test_any_endpoint_is_read_as_it_is_written(address: object, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert parse_nameserver(str(endpoint)) == endpoint


@given(st.text(alphabet="0123456789.:[]abf %", max_size=24))
def test_what_is_read_can_be_asked(text: str) -> None:
    try:
        endpoint = parse_endpoint(text, "name server", default_port=53)
    except ConfigurationError:
        return
    assert 0 < endpoint.port < 65536
    assert str(ip_address(endpoint.address)) == endpoint.address


# What errors say.


def parse_option(given: str) -> object:
    return parse_seconds(given, "--timeout", text=True)


def parse_leave_after(given: object) -> object:
    return parse_seconds(given, "leave_after", zero=True)


A_PORT = "a port from 1 to 65535 after the address"


@pytest.mark.parametrize(
    ("parse", "given", "expected"),
    [
        (parse_pod_name, "mysql", "NAME-ORDINAL, as in a StatefulSet, such as 'mysql-0'"),
        (
            parse_port_name,
            "a_b",
            "a port's name as in the service: at most 63 letters, digits and dashes",
        ),
        (parse_domain, "a..b", "a DNS domain, such as cluster.local"),
        (
            parse_nameserver,
            "kube-dns",
            "an IP address and at most a port (IP, IP:PORT or [IPv6]:PORT), not a host name",
        ),
        (parse_nameserver, "10.0.0.1:0", A_PORT),
        (parse_nameserver, "10.0.0.1:000053", A_PORT),
        (parse_option, "x", "a number of seconds above 0 up to 1e+09"),
        (parse_leave_after, -1, "a number of seconds from 0 up to 1e+09"),
    ],
)
def test_the_error_says_what_is_expected(
    parse: Callable[[Any], object], given: object, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(given)
    assert str(caught.value) == f"{caught.value.what}: got {given!r}, expected {expected}"


def test_the_names_of_the_arguments_in_errors() -> None:
    for parse, what in (
        (parse_port_name, "port name"),
        (parse_domain, "cluster domain"),
        (parse_nameserver, "name server"),
    ):
        with pytest.raises(ConfigurationError, match=rf"^{what}: got '\?'"):
            parse("?")


def test_a_huge_number_is_not_printed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_leave_after(10**400)
    assert str(caught.value).startswith("leave_after: got 'an integer of more than 300 digits', ")


def test_seconds_are_read_from_a_text_only_where_a_text_is_given() -> None:
    assert parse_seconds("0.5", "--timeout", text=True) == 0.5
    with pytest.raises(ConfigurationError):
        parse_seconds("0.5", "timeout")
    with pytest.raises(ConfigurationError):
        parse_seconds(0.5, "--timeout", text=True)
    assert parse_seconds(0, "leave_after", zero=True) == 0


def test_the_longest_domain() -> None:
    longest = ".".join(["a" * 62] * 4) + ".a"
    assert len(longest) == 253
    assert parse_domain(longest) == longest
    with pytest.raises(ConfigurationError):
        parse_domain("a" + longest)


def test_an_endpoint_is_written_with_brackets_only_where_it_has_colons() -> None:
    assert str(Endpoint("10.0.0.1", 53)) == "10.0.0.1:53"
    assert str(Endpoint("fd00::1", 53)) == "[fd00::1]:53"


@pytest.mark.parametrize("given", ["mysql", b"mysql", bytearray(b"mysql")])
def test_text_is_no_list_of_texts(given: object) -> None:
    with pytest.raises(ConfigurationError, match=r"names: got .*, expected a list of names"):
        reject_text(given, "names", "a list of names")
    reject_text(["mysql"], "names", "a list of names")
