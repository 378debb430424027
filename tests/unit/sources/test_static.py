"""The source that is a list."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.model import Answered, Peer, Ports
from peerdisco.names import parse_service
from peerdisco.sources import Source
from peerdisco.sources.once import discover
from peerdisco.sources.static import Static, parse_static

SERVICE = parse_service("db.shop.svc.cluster.local")


async def seen(text: str) -> tuple[Peer, ...]:
    observation = await parse_static(text, SERVICE).observe(timeout=1)
    assert isinstance(observation, Answered)
    assert observation.incomplete_reason is None
    return observation.peers


async def test_names_addresses_and_ports() -> None:
    first, second = await seen("mysql-0=127.0.0.1:3306,mysql-1=[::1]:3307")
    assert first == Peer(
        name="mysql-0",
        ordinal=0,
        statefulset="mysql",
        hostname="mysql-0.db.shop.svc.cluster.local",
        addresses=(ip_address("127.0.0.1"),),
        ports=Ports({"": 3306}),
        ready=None,
    )
    assert (second.address, second.port) == (ip_address("::1"), 3307)


@pytest.mark.parametrize(
    ("text", "addresses", "ports"),
    [
        ("mysql-0", (), {}),
        ("mysql-0=10.0.0.1", ("10.0.0.1",), {}),
        ("mysql-0=10.0.0.1:3306", ("10.0.0.1",), {"": 3306}),
        ("mysql-0=fd00::1", ("fd00::1",), {}),
        ("mysql-0=[fd00::1]", ("fd00::1",), {}),
        ("mysql-0=[fd00::1]:3306", ("fd00::1",), {"": 3306}),
        ("MySQL-0=10.0.0.1", ("10.0.0.1",), {}),
        (" mysql-0=10.0.0.1 ", ("10.0.0.1",), {}),
        ("mysql-0=10.0.0.1:3306,mysql-0=fd00::1", ("10.0.0.1", "fd00::1"), {"": 3306}),
        ("mysql-0=10.0.0.1,mysql-0=[fd00::1]:3306", ("10.0.0.1", "fd00::1"), {"": 3306}),
        ("mysql-0=fd00::1,mysql-0=10.0.0.1", ("10.0.0.1", "fd00::1"), {}),
        ("mysql-0=10.0.0.2,mysql-0=10.0.0.1", ("10.0.0.1", "10.0.0.2"), {}),
        ("mysql-0=10.0.0.1,mysql-0=10.0.0.1", ("10.0.0.1",), {}),
    ],
)
async def test_each_form_of_an_entry(
    text: str, addresses: tuple[str, ...], ports: dict[str, int]
) -> None:
    (peer,) = await seen(text)
    assert peer.name == "mysql-0"
    assert tuple(map(str, peer.addresses)) == addresses
    assert dict(peer.ports) == ports


async def test_a_name_without_an_ordinal_is_a_peer_too() -> None:
    (peer,) = await seen("leader=10.0.0.1")
    assert (peer.name, peer.ordinal, peer.statefulset) == ("leader", None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "mysql-0,",
        "mysql-0=",
        "mysql-0=,mysql-1",
        "=10.0.0.1",
        "mysql_0=10.0.0.1",
        "mysql-0.db=10.0.0.1",
        "mysql-0=localhost",
        "mysql-0=10.0.0.1:",
        "mysql-0=10.0.0.1:0",
        "mysql-0=10.0.0.1:65536",
        "mysql-0=10.0.0.1;mysql-1=10.0.0.2",
        "mysql-0=10.0.0.1=10.0.0.2",
        "mysql-0:10.0.0.1",
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^source: .*expected"):
        parse_static(text, SERVICE)


async def test_it_is_a_source_that_answers_every_lookup_alike() -> None:
    source = Static("db", [Peer("a-0", 0, "a", "a-0.db")])
    assert isinstance(source, Source)
    assert source.service == "db"
    assert await source.observe(timeout=1) == await source.observe(timeout=0.001)
    await source.aclose()
    await source.aclose()


async def test_a_source_may_be_given_as_text_or_as_itself() -> None:
    text = "static:mysql-1=10.0.0.2:3306,mysql-0=10.0.0.1:3306"
    by_text = await discover(SERVICE.fqdn, source=text)
    by_itself = await discover(source=parse_static(text.removeprefix("static:"), SERVICE))
    assert by_text == by_itself
    assert [str(peer) for peer in by_text] == ["mysql-0", "mysql-1"]
    assert by_text.complete
    assert by_text.service == SERVICE.fqdn


async def test_the_variable_names_the_source_and_the_argument_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PEERDISCO_SOURCE", "static:a-0=10.0.0.1")
    assert "a-0" in await discover(SERVICE.fqdn)
    assert "b-0" in await discover(SERVICE.fqdn, source="static:b-0=10.0.0.1")


@pytest.mark.parametrize("text", ["static", "static:", "dnsx", "dns:10.0.0.1", "file:x"])
async def test_what_is_no_source_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="source: got"):
        await discover(SERVICE.fqdn, source=text)
    monkeypatch.setenv("PEERDISCO_SOURCE", text)
    with pytest.raises(ConfigurationError, match="PEERDISCO_SOURCE: got"):
        await discover(SERVICE.fqdn)


async def test_a_chosen_statefulset_is_listed_alone() -> None:
    text = "static:blue-0=10.0.0.1,green-0=10.0.0.2,green-1=10.0.0.3"
    chosen = await discover(SERVICE.fqdn, source=text, statefulset="green")
    assert [str(peer) for peer in chosen] == ["green-0", "green-1"]
    assert str(chosen.primary) == "green-0"


async def test_a_bad_list_in_the_variable_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PEERDISCO_SOURCE", "static:mysql_0")
    with pytest.raises(ConfigurationError, match="static:mysql_0"):
        await discover(SERVICE.fqdn)
