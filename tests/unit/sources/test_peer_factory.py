"""Peers out of names and addresses: right ones, of right names alone, and the same ones again."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from peerdisco.dns.wire import name_from_text
from peerdisco.model import Peer, Ports
from peerdisco.sources.peer_factory import PeerFactory

SERVICE = "db.shop.svc.cluster.local"
SUFFIX = name_from_text(SERVICE)


def name(label: bytes | str) -> bytes:
    raw = label if isinstance(label, bytes) else label.encode()
    return bytes((len(raw),)) + raw + SUFFIX


def packed(*addresses: str) -> tuple[bytes, ...]:
    return tuple(ip_address(address).packed for address in addresses)


def peers(peer_factory: PeerFactory, *labels: str, port: int = 3306) -> tuple[Peer, ...]:
    ports = {name(label): (port,) for label in labels}
    addresses = {name(label): packed(f"10.0.0.{n + 1}") for n, label in enumerate(labels)}
    return peer_factory.peers(ports, addresses)


def test_a_peer_has_all_that_the_answer_tells() -> None:
    (peer,) = PeerFactory(SERVICE).peers(
        {name("db-7"): (9104, 3306)}, {name("db-7"): packed("fd00::1", "10.0.0.2", "10.0.0.1")}
    )
    assert peer == Peer(
        name="db-7",
        ordinal=7,
        statefulset="db",
        hostname=f"db-7.{SERVICE}",
        addresses=(ip_address("10.0.0.1"), ip_address("10.0.0.2"), ip_address("fd00::1")),
        ports=Ports({"3306": 3306, "9104": 9104}),
    )
    assert hash(peer)
    assert peer.ready is None


def test_the_port_that_was_asked_for_has_its_name() -> None:
    (peer,) = PeerFactory(SERVICE, "mysql").peers({name("db-0"): (3306,)}, {})
    assert (dict(peer.ports), peer.addresses) == ({"mysql": 3306}, ())


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("db-0", ("db", 0)),
        ("db-00", None),
        ("db-07", None),
        ("db-2147483647", ("db", 2**31 - 1)),
        ("db-2147483648", None),
        ("db-1-0", ("db-1", 0)),
        ("a-b-3", ("a-b", 3)),
        ("db", None),
        ("0", None),
        ("10-244-1-300", ("10-244-1", 300)),
    ],
)
def test_ordinals_are_read_as_the_controller_reads_them(
    label: str, expected: tuple[str, int] | None
) -> None:
    """Whichever pods were read before: what was learned from them changes nothing."""
    for before in ([], ["db-1"], ["10-244-1-300", "db-1-5", "a-b-1", "fd00-1-2-3-4-5-6-99999"]):
        peer_factory = PeerFactory(SERVICE)
        peers(peer_factory, *before)
        (peer,) = peers(peer_factory, label)
        assert (peer.statefulset, peer.ordinal) == (expected or (None, None))
        assert peer_factory.pod(name(label)) == expected
        assert PeerFactory(SERVICE).pod(name(label)) == expected


@pytest.mark.parametrize(
    ("label", "own", "pod"),
    [
        ("10-244-1-0", "10.244.1.0", ("10-244-1", 0)),
        ("1-2-3-4", "1.2.3.4", ("1-2-3", 4)),
        ("fd00-1-2-3-4-5-6-7", "fd00:1:2:3:4:5:6:7", ("fd00-1-2-3-4-5-6", 7)),
        ("fd00-10--0", "fd00:10::", None),
        ("ab--cd-0", "ab::cd:0", ("ab--cd", 0)),
        ("0-0-0-0-0-0-0-1", "::1", ("0-0-0-0-0-0-0", 1)),
    ],
)
def test_a_label_is_an_address_only_if_it_is_the_pods_own(
    label: str, own: str, pod: tuple[str, int] | None
) -> None:
    """A StatefulSet may be called ``10-244-1``; CoreDNS calls a pod without a host name so too."""
    for before in ([], ["10-244-1-300", "db-1", "ab--cd-99999"]):
        for addresses, expected in (
            ([own], None),
            (["10.0.0.9", own], None),
            (["10.0.0.9"], pod),
            (["10.0.0.9", "fd00::9"], pod),
            ([], None),  # not known, and so is what the label is
        ):
            peer_factory = PeerFactory(SERVICE)
            peers(peer_factory, *before)
            raw = packed(*addresses)
            assert peer_factory.pod(name(label), raw) == expected
            (peer,) = peer_factory.peers({name(label): (1,)}, {name(label): raw})
            assert (peer.statefulset, peer.ordinal) == (expected or (None, None))
            assert peer_factory.pod(name(label)) == expected


def test_a_label_is_read_again_when_the_address_changes() -> None:
    peer_factory = PeerFactory(SERVICE)
    for address, ordinal in (("10.0.0.1", None), ("10.0.0.9", 1), ("10.0.0.1", None)):
        ports = {name("10-0-0-1"): (1,)}
        (peer,) = peer_factory.peers(ports, {name("10-0-0-1"): packed(address)})
        assert peer.ordinal == ordinal


def test_the_names_that_are_no_peers_are_kept() -> None:
    peer_factory = PeerFactory(SERVICE)
    refused = name("db_1")
    ports = {name("db-0"): (1,), refused: (1,)}
    assert len(peer_factory.peers(ports, {})) == 1
    assert peer_factory.refused == (refused,)
    assert peer_factory.made_of(ports, {}) is None
    assert len(peer_factory.peers({name("db-0"): (1,)}, {})) == 1
    assert peer_factory.refused == ()


@pytest.mark.parametrize(
    "label",
    [
        b"db-\xb2",
        b"db-\xb9\xb2",
        b"db--1-",
        b"-db-1",
        b"db_1-1",
        b"db.1-1",
        b"DB-1",
        b"db-1\0",
        b"*",
        b"db-1;reboot",
        "db-१".encode(),
    ],
)
def test_what_is_no_host_name_is_no_peer(label: bytes) -> None:
    for before in ([], ["db-1", "db_1-1"]):
        peer_factory = PeerFactory(SERVICE)
        peers(peer_factory, *before)
        assert peer_factory.label(name(label)) is None
        assert peer_factory.peers({name(label): (1,)}, {}) == ()


@pytest.mark.parametrize(
    "target",
    [
        SUFFIX,
        b"\0",
        name_from_text("a.db-0.db.shop.svc.cluster.local"),
        name_from_text("db-0.web.shop.svc.cluster.local"),
        b"\x05" + name("db-0")[1:],
        name("db-0") + b"\0",
    ],
)
def test_names_outside_of_the_service_are_no_peers(target: bytes) -> None:
    assert PeerFactory(SERVICE).label(target) is None
    assert PeerFactory(SERVICE).peers({target: (1,)}, {}) == ()


def test_what_did_not_change_is_the_same_object() -> None:
    peer_factory = PeerFactory(SERVICE)
    first = peers(peer_factory, "db-0", "db-1", "db-2")
    assert peers(peer_factory, "db-0", "db-1", "db-2") is first
    other = peers(peer_factory, "db-0", "db-1", "db-2", "db-3")
    assert all(a is b for a, b in zip(first, other, strict=False))
    assert peers(peer_factory, "db-0", "db-1", "db-2", port=3307) != first
    again = peers(peer_factory, "db-0", "db-1", "db-2")
    assert again == first
    assert again is not first


def test_a_pod_with_another_address_shares_its_names_with_the_former() -> None:
    factory = PeerFactory(SERVICE)
    (before,) = factory.peers({name("db-7"): (3306,)}, {name("db-7"): packed("10.0.0.1")})
    (after,) = factory.peers({name("db-7"): (3307,)}, {name("db-7"): packed("10.0.0.2")})
    assert after == replace(before, addresses=(ip_address("10.0.0.2"),), ports=Ports({"": 3307}))
    assert after.hostname is before.hostname
    assert after.name is before.name


def test_addresses_in_another_order_are_the_same() -> None:
    peer_factory = PeerFactory(SERVICE)
    both = packed("10.0.0.1", "fd00::1")
    first = peer_factory.peers({name("db-0"): (1, 2)}, {name("db-0"): both})
    assert peer_factory.peers({name("db-0"): (2, 1)}, {name("db-0"): both[::-1]}) is first


def test_the_same_objects_make_the_same_peers() -> None:
    peer_factory = PeerFactory(SERVICE)
    ports, addresses = {name("db-0"): (1,)}, {name("db-0"): packed("10.0.0.1")}
    assert peer_factory.made_of(ports, addresses) is None
    first = peer_factory.peers(ports, addresses)
    assert peer_factory.made_of(ports, addresses) is first
    assert peer_factory.peers(ports, addresses) is first
    assert peer_factory.made_of(dict(ports), addresses) is None
    peer_factory.forget()
    assert peer_factory.made_of(ports, addresses) is None
    assert peer_factory.peers(ports, addresses) == first


def test_thousands_are_made_in_slices() -> None:
    peer_factory = PeerFactory(SERVICE)
    ports = {name(f"db-{n}"): (3306,) for n in range(2100)}
    slices = 0
    making = peer_factory.peers_in_slices(ports, {})
    while True:
        try:
            next(making)
        except StopIteration as end:
            made = end.value
            break
        slices += 1
    assert slices == 4
    assert len(made) == 2100
    # One that is given up changes nothing.
    peer_factory.forget()
    before = peer_factory.peers(dict(list(ports.items())[:3]), {})
    making = peer_factory.peers_in_slices(ports, {})
    next(making)
    making.close()
    assert peer_factory.peers(dict(list(ports.items())[:3]), {}) is before


def test_names_of_ever_more_statefulsets_take_no_more_memory() -> None:
    """As from a wildcard record: each name is read correctly, and few prefixes are kept."""
    peer_factory = PeerFactory(SERVICE)
    for number in range(2500):
        assert peer_factory.ordinal(f"shard{number}-7") == (f"shard{number}", 7)
        assert len(peer_factory._prefixes) <= 1000
    assert peer_factory.ordinal("shard0-8") == ("shard0", 8)
