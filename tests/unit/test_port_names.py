"""Named ports: every name that a Service can give, and every protocol."""

from __future__ import annotations

import pytest

import peerdisco
from peerdisco.exceptions import ConfigurationError, ServiceNotFound
from peerdisco.testing import ClusterDNS, ServicePort

SERVICE = "db.default.svc.cluster.local"


def cluster(*ports: ServicePort, replicas: int = 2) -> ClusterDNS:
    dns = ClusterDNS()
    dns.statefulset("db", service="db", replicas=replicas, ports=ports)
    return dns


@pytest.mark.parametrize(
    "name",
    ["prometheus-metrics", "two--hyphens", "3306", "0", "p" * 62, "p" * 63, "sixteen-letters0"],
)
@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
async def test_a_port_is_found_by_any_name_and_protocol(name: str, protocol: str) -> None:
    with cluster(ServicePort(name, 9104, protocol), ServicePort("other", 9105)) as dns:
        snapshot = await peerdisco.discover(
            SERVICE, port_name=name, protocol=protocol, nameservers=[dns.nameserver]
        )
    assert [dict(peer.ports) for peer in snapshot] == [{name: 9104}] * 2
    assert [peer.port for peer in snapshot] == [9104, 9104]


@pytest.mark.parametrize("known", ["UDP", "SCTP", "TCP"])
async def test_a_port_over_another_protocol_is_named(known: str) -> None:
    """The service has pods, so their absence under ``_gossip._tcp`` is no emptiness."""
    asked = "udp" if known == "TCP" else "tcp"
    with cluster(ServicePort("gossip", 7946, known), ServicePort("other", 9105)) as dns:
        with pytest.raises(ConfigurationError, match=f"expected '{known.lower()}'") as caught:
            await peerdisco.discover(
                SERVICE, port_name="gossip", protocol=asked, nameservers=[dns.nameserver]
            )
        assert caught.value.given == asked


async def test_a_port_that_does_not_exist_over_any_protocol_is_not_found() -> None:
    with (
        cluster(ServicePort("gossip", 7946, "UDP")) as dns,
        pytest.raises(ServiceNotFound, match="no port named 'gosip'"),
    ):
        await peerdisco.discover(SERVICE, port_name="gosip", nameservers=[dns.nameserver])


async def test_pods_that_are_all_gone_are_gone_over_every_protocol() -> None:
    with (
        cluster(ServicePort("gossip", 7946, "UDP"), replicas=0) as dns,
        pytest.raises(ServiceNotFound),
    ):
        await peerdisco.discover(
            SERVICE, port_name="gossip", protocol="udp", nameservers=[dns.nameserver]
        )


async def test_a_silent_hint_does_not_hold_up_the_answer() -> None:
    """The questions that only explain may go unanswered."""
    with cluster(ServicePort("gossip", 7946, "UDP"), replicas=0) as dns:
        for protocol in ("udp", "sctp"):
            dns.fail("drop", name=f"_gossip._{protocol}.{SERVICE}")
        with pytest.raises(ServiceNotFound):
            await peerdisco.discover(
                SERVICE, port_name="gossip", nameservers=[dns.nameserver], timeout=4
            )


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ({"protocol": "udp"}, {}, "protocol: got 'udp', expected a port's name with it"),
        ({}, {"PEERDISCO_PROTOCOL": "udp"}, "PEERDISCO_PROTOCOL: got 'udp', expected a port's"),
        ({"port_name": "x", "protocol": "http"}, {}, "protocol: got 'http'"),
        ({"port_name": "x"}, {"PEERDISCO_PROTOCOL": "http"}, "PEERDISCO_PROTOCOL: got 'http'"),
        ({}, {"PEERDISCO_PORT_NAME": "p" * 64}, "PEERDISCO_PORT_NAME: got 'p+'"),
        ({"port_name": "p" * 64}, {}, "at most 63 letters"),
    ],
)
def test_what_cannot_be_a_port_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    environment: dict[str, str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=message):
        peerdisco.Discovery(SERVICE, nameservers=["127.0.0.1:9"], **arguments)  # type: ignore[arg-type]


async def test_the_environment_names_the_port_and_its_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PEERDISCO_PORT_NAME", "gossip")
    monkeypatch.setenv("PEERDISCO_PROTOCOL", "UDP")
    with cluster(ServicePort("gossip", 7946, "UDP")) as dns:
        snapshot = await peerdisco.discover(SERVICE, nameservers=[dns.nameserver])
    assert [peer.port for peer in snapshot] == [7946, 7946]
