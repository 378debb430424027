"""What bad input gets: one line that says what was given or tried and what to do, and a status."""

from __future__ import annotations

import socket

import pytest

from peerdisco.testing import ClusterDNS

from .command import peerdisco

SERVICE = "my-database.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["peers", ""], ["service", "''", "SERVICE.NAMESPACE"]),
        (["peers", "my_database"], ["service", "'my_database'", "letters, digits and dashes"]),
        (["peers", "a.b.c.d"], ["service", "'a.b.c.d'", "SERVICE.NAMESPACE.svc.DOMAIN"]),
        (["peers", "x" * 64], ["service"]),
        (["peers", SERVICE, "--nameserver", "dns.example"], ["'dns.example'", "not a host name"]),
        (["peers", SERVICE, "--nameserver", "127.0.0.1:0"], ["'127.0.0.1:0'", "1 to 65535"]),
        (["peers", SERVICE, "--nameserver", "127.0.0.1:dns"], ["'127.0.0.1:dns'", "1 to 65535"]),
        (["peers", SERVICE, "--nameserver", "[::1]:99999"], ["'[::1]:99999'", "1 to 65535"]),
        (["peers", SERVICE, "--timeout", "soon"], ["--timeout", "'soon'", "seconds"]),
        (["peers", SERVICE, "--timeout", "0"], ["--timeout", "'0'", "above 0"]),
        (["peers", SERVICE, "--timeout", "inf"], ["--timeout", "'inf'", "above 0"]),
        (["peers", SERVICE, "-o", "toml"], ["toml", "table", "json"]),
        (["peers", SERVICE, "--ordinal", "-1"], ["--ordinal", "'-1'"]),
        (["peers", SERVICE, "--source", "zookeeper"], ["'zookeeper'", "dns", "static:"]),
        (["peers", SERVICE, "--source", "static:"], ["source", "static:"]),
        (["peers", SERVICE, "--port-name", "not a port"], ["port name", "'not a port'"]),
        (["peers", SERVICE, "--statefulset", "No!"], ["statefulset", "'No!'"]),
        (["peers", "a.b", "--namespace", "c", "--cluster-domain", "d.e"], ["'a.b'", "'c'"]),
        (["peers", SERVICE, "--colour"], ["--colour", "--help"]),
        (["pears"], ["pears", "peers", "--help"]),
        ([], ["COMMAND", "--help"]),
        (["simulate", "--port", "99999"], ["--port", "'99999'"]),
        (["simulate", "--story"], ["--story", "--serve"]),
        (["run", SERVICE], ["no hook given", "--on-start", "--on-change"]),
    ],
)
def test_a_wrong_call(args: list[str], said: list[str]) -> None:
    done = peerdisco(*args)
    assert (done.status, done.out) == (2, "")
    for words in said:
        assert words in done.complaint


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PEERDISCO_NAMESERVERS", "127.0.0.1:5300,dns.example"),
        ("PEERDISCO_RESOLVER", "unbound"),
        ("PEERDISCO_SOURCE", "consul"),
        ("PEERDISCO_STATEFULSET", "-"),
        ("PEERDISCO_PORT_NAME", "my sql"),
        ("PEERDISCO_CLUSTER_DOMAIN", "cluster..local"),
        ("POD_NAMESPACE", "Default!"),
        ("POD_NAME", "my pod"),
        ("POD_IP", "none"),
    ],
)
def test_a_variable_that_cannot_be_right_is_named(variable: str, value: str) -> None:
    usual = {
        "PEERDISCO_NAMESERVERS": "127.0.0.1:1",
        "PEERDISCO_CLUSTER_DOMAIN": "cluster.local",
        "POD_NAMESPACE": "default",
        "POD_NAME": "mysql-0",
    }
    done = peerdisco("peers", "my-database", env={**usual, variable: value})
    assert (done.status, done.out) == (2, "")
    assert variable in done.complaint
    assert value.rsplit(",", maxsplit=1)[-1] in done.complaint


def test_no_service_is_named() -> None:
    done = peerdisco("peers")
    assert done.status == 2
    assert "cannot determine the service" in done.complaint
    assert "PEERDISCO_SERVICE" in done.complaint


@pytest.mark.parametrize("output", ["table", "json", "names", "addresses", "hostnames"])
def test_a_service_that_does_not_exist(dns: ClusterDNS, env: dict[str, str], output: str) -> None:
    done = peerdisco("peers", "my-databse", "-o", output, env=env)
    assert done.status == 3
    assert '"peers": []' in done.out if output == "json" else done.out == ""
    for words in (
        "NXDOMAIN",
        "SRV",
        "my-databse.default.svc.cluster.local.",
        dns.nameserver,
        " s: ",
        "none of its pods is ready",
        "publishNotReadyAddresses",
    ):
        assert words in done.complaint


def test_a_server_that_refuses_the_connection() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    done = peerdisco("peers", SERVICE, "--nameserver", f"127.0.0.1:{port}")
    assert (done.status, done.out) == (2, "")
    for words in (f"127.0.0.1:{port}", "SRV", SERVICE, "connection refused", "--nameserver"):
        assert words in done.complaint


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("drop", "no answer within 0."),
        ("garbage", "malformed"),
        ("wrong-id", "no reply to the question"),
        ("wrong-question", "no reply to the question"),
        ("servfail", "SERVFAIL"),
        ("refused", "REFUSED"),
        ("formerr", "FORMERR"),
    ],
)
def test_a_server_that_does_not_answer(
    dns: ClusterDNS, env: dict[str, str], fault: str, said: str
) -> None:
    dns.fail(fault)  # type: ignore[arg-type]
    for command in ("peers", "primary"):
        done = peerdisco(command, "my-database", "--timeout", "0.5", env=env)
        assert (done.status, done.out) == (2, "")
        for words in (said, dns.nameserver, "SRV", SERVICE, "--nameserver"):
            assert words in done.complaint


def test_the_port_of_the_simulation_is_taken(dns: ClusterDNS) -> None:
    port = dns.nameserver.rpartition(":")[2]
    done = peerdisco("simulate", "--port", port, "--seconds", "1")
    assert done.status == 2
    assert port in done.complaint
    assert "a free port" in done.complaint
