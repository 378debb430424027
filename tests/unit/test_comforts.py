"""The short ways to a peer, to JSON, to the primary, and to one line of text."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest

import peerdisco
from peerdisco.exceptions import PeerNotListed, ResolverUnavailable
from peerdisco.model import Change, Peer, Ports, Snapshot
from peerdisco.testing import ClusterDNS, ManualClock, ScriptedSource, failure, nxdomain, peers

from .test_model import SERVICE, me, peer, snapshot

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FQDN = "db.default.svc.cluster.local"
KEYS_OF_PEERS = {"service", "complete", "stale", "primary", "local", "peers"}
KEYS_OF_WATCH = [
    "at",
    "joined",
    "left",
    "replaced",
    "peers",
    "primary",
    "complete",
    "stale",
    "error",
    "degraded",
    "recovered",
]


def at(name: str, *addresses: str, **ports: int) -> Peer:
    numbers = {"" if key == "any" else key: number for key, number in ports.items()}
    return peer(name, addresses=tuple(map(ip_address, addresses)), ports=Ports(numbers))


# A peer by its name, and its endpoint.


def test_a_snapshot_gives_a_peer_by_name() -> None:
    found = snapshot("db-0 db-1 db-10")
    assert found["db-10"] is found.peers[2]
    assert found.names == ("db-0", "db-1", "db-10")


def test_a_peer_that_is_not_listed_is_a_key_error_that_lists_the_others() -> None:
    found = snapshot("db-0 db-1")
    with pytest.raises(PeerNotListed) as caught:
        found["db-2"]
    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == f"{SERVICE}: db-2 is not listed; listed: db-0, db-1"
    assert (caught.value.name, caught.value.snapshot) == ("db-2", found)
    with pytest.raises(PeerNotListed, match=": '' is not listed"):
        found[""]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Snapshot(SERVICE), "db-2 is not known: no lookup has been answered yet"),
        (Snapshot(SERVICE, observed_at=NOW), "db-2 is not listed; listed: none"),
        (snapshot("db-0", incomplete_reason="cut\nshort"), "may be incomplete: cut short"),
    ],
)
def test_an_unknown_membership_is_not_an_empty_one(found: Snapshot, words: str) -> None:
    with pytest.raises(PeerNotListed) as caught:
        found["db-2"]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_of_two_clusters_is_ambiguous_and_a_unique_name_is_not() -> None:
    east, west = peer("db-0", cluster="east"), peer("db-0", cluster="west")
    found = Snapshot(SERVICE, (east, west))
    assert found.names == ("db-0.east", "db-0.west")
    assert found["db-0.west"] is west
    with pytest.raises(PeerNotListed, match=r"db-0 is ambiguous.*db-0\.east, db-0\.west") as caught:
        found["db-0"]
    assert caught.value.candidates == (east, west)


def test_a_unique_name_wins_over_a_plain_one() -> None:
    plain, other = peer("db-0.east"), peer("db-0", cluster="east")
    assert Snapshot(SERVICE, (plain, peer("db-1")))["db-0.east"] is plain
    assert Snapshot(SERVICE, (other, peer("db-1")))["db-0.east"] is other


@pytest.mark.parametrize("index", [0, -1, slice(1), None, b"db-0"])
def test_a_snapshot_is_not_a_sequence(index: Any) -> None:
    with pytest.raises(TypeError, match="by the name of a peer"):
        snapshot("db-0")[index]


@pytest.mark.parametrize(
    ("found", "endpoint"),
    [
        (at("db-0", "10.244.0.3", any=3306), "10.244.0.3:3306"),
        (at("db-0", "fd00::3", any=3306), "[fd00::3]:3306"),
        (at("db-0", "10.244.0.3", "fd00::3", mysql=3306), "10.244.0.3:3306"),
        (at("db-0", any=3306), None),
        (at("db-0", "10.244.0.3"), None),
        (at("db-0", "10.244.0.3", a=1, b=2), None),
    ],
)
def test_the_endpoint(found: Peer, endpoint: str | None) -> None:
    assert found.endpoint == endpoint


def test_the_url_takes_a_number_a_name_and_a_scheme() -> None:
    found = at("db-0", "fd00::3", mysql=3306, metrics=9104)
    assert found.url(80) == "[fd00::3]:80"
    assert found.url("metrics") == "[fd00::3]:9104"
    assert found.url("metrics", scheme="http") == "http://[fd00::3]:9104"
    assert found.url("metric") is None
    assert at("db-0").url(80) is None


@pytest.mark.parametrize("port", [0, 65536, -1, True, 3306.0, None])
def test_a_number_that_is_no_port(port: Any) -> None:
    with pytest.raises(peerdisco.ConfigurationError, match="1 to 65535"):
        at("db-0", "10.244.0.3").url(port)


# JSON.


def test_a_snapshot_as_a_dict_has_the_promised_keys() -> None:
    found = snapshot("db-0 db-1", identity=me("db-1"), observed_at=NOW)
    facts = json.loads(json.dumps(found.as_dict()))
    assert facts.keys() >= KEYS_OF_PEERS
    assert (facts["primary"], facts["local"]) == ("db-0", "db-1")
    assert facts["peers"][0] == found.peers[0].as_dict()
    assert facts["peers"][0].keys() >= {"name", "hostname", "addresses"}


def test_the_primary_of_two_statefulsets_is_null_in_json() -> None:
    assert snapshot("db-0 web-0").as_dict()["primary"] is None


def test_a_change_as_a_dict_has_the_promised_keys_and_whole_peers() -> None:
    old, new = at("db-1", "10.0.0.1"), at("db-1", "10.0.0.9", any=3306)
    before = Snapshot(SERVICE, (old, peer("db-2")), last_error=ResolverUnavailable(SERVICE, ()))
    after = Snapshot(SERVICE, (peer("db-0"), new), observed_at=NOW, age=1.5)
    facts = json.loads(json.dumps(Change.between(before, after).as_dict()))
    assert [key for key in facts if key in KEYS_OF_WATCH] == KEYS_OF_WATCH
    assert facts["at"] == "2026-01-01T12:00:01.500Z"
    assert (facts["joined"], facts["left"], facts["replaced"]) == (["db-0"], ["db-2"], ["db-1"])
    assert facts["recovered"] is True
    assert facts["service"] == SERVICE
    assert facts["details"] == after.as_dict()["peers"]
    assert Change.between(before, after).as_dict(NOW)["at"] == "2026-01-01T12:00:00.000Z"


def test_the_time_of_a_change_before_the_first_answer_is_not_known() -> None:
    unknown = Snapshot(SERVICE, last_error=ResolverUnavailable(SERVICE, ()))
    assert Change.between(None, unknown).as_dict()["at"] is None


# What a change added and removed, and the primary before and after it.


def test_added_and_removed_keep_a_set_of_addresses_up_to_date() -> None:
    before = Snapshot(SERVICE, (at("db-0", "10.0.0.1"), at("db-1", "10.0.0.2")))
    after = Snapshot(SERVICE, (at("db-0", "10.0.0.2"), at("db-2", "10.0.0.1")))
    change = Change.between(before, after)
    known = {peer.address for peer in before}
    known -= {peer.address for peer in change.removed}
    known |= {peer.address for peer in change.added}
    assert known == {peer.address for peer in after}
    assert [peer.name for peer in change.added] == ["db-2", "db-0"]
    assert [peer.name for peer in change.removed] == ["db-1", "db-0"]


def test_the_primary_before_and_after() -> None:
    old, new = at("db-0", "10.0.0.1"), at("db-0", "10.0.0.9")
    one, two, none = (Snapshot(SERVICE, known) for known in ((old,), (new,), (peer("db-1"),)))
    assert Change.between(one, two).primary == (old, new)
    assert Change.between(one, none).primary == (old, None)
    assert Change.between(None, one).primary == (None, old)
    assert Change.between(one, snapshot("db-0 web-0")).primary == (old, None)


async def watched(disco: peerdisco.Discovery, clock: ManualClock, seconds: float) -> list[Any]:
    """The endpoints of the primaries that are reported within these seconds."""
    found: list[Any] = []

    async def follow() -> None:
        nonlocal found
        async for primary in disco.watch_primary():
            found += [primary and primary.endpoint]

    task = asyncio.create_task(follow())
    await clock.advance(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


def discovery(clock: ManualClock, *script: Any) -> peerdisco.Discovery:
    return peerdisco.Discovery(
        source=ScriptedSource("db", script), clock=clock, chance=lambda: 0.5, leave_after=1
    )


async def test_watch_primary_reports_another_address_an_absence_and_a_return() -> None:
    clock, moved = ManualClock(), {0: "10.244.0.9"}
    zero, back = peers("db", 2), peers("db", 2, addresses=moved)
    script = [failure(), zero, zero, failure(), peers("db", 3), *[peers("db", [1, 2])] * 9, back]
    async with discovery(clock, *script) as disco:
        reported = await watched(disco, clock, 60)
    assert reported == ["10.244.0.3:3306", None, "10.244.0.9:3306"]


async def test_an_absent_primary_is_reported_and_an_unknown_one_is_not() -> None:
    clock = ManualClock()
    partial = peers("db", [1], incomplete_reason="truncated")
    async with discovery(clock, failure(), partial) as disco:
        assert await watched(disco, clock, 20) == []
    async with discovery(clock, failure(), partial, peers("db", [1])) as disco:
        assert await watched(disco, clock, 20) == [None]
    async with discovery(clock, nxdomain()) as disco:
        assert await watched(disco, clock, 20) == [None]


async def test_watch_primary_goes_on_after_an_ambiguous_primary() -> None:
    clock = ManualClock()
    both = peerdisco.model.Answered((*peers("db", 1).peers, *peers("web", 1).peers))
    async with discovery(clock, both, *[peers("db", 1)] * 9) as disco:
        primaries = disco.watch_primary()
        with pytest.raises(peerdisco.AmbiguousPrimary):
            await anext(primaries)
        task = asyncio.ensure_future(anext(primaries))
        await clock.advance(30, until=task.done)
        primary = await task
        assert primary is not None
        assert primary.name == "db-0"


async def test_watch_primary_ends_with_the_watcher() -> None:
    clock = ManualClock()
    async with discovery(clock, peers("db", 1)) as disco:
        primaries = disco.watch_primary()
        await anext(primaries)
        await disco.aclose()
        assert [primary async for primary in primaries] == []


def test_watch_primary_blocking() -> None:
    with peerdisco.sync.Discovery(source=ScriptedSource("db", [peers("db", 2)])) as disco:
        primaries = disco.watch_primary()
        first = next(primaries)
        assert first is not None
        assert first.endpoint == "10.244.0.3:3306"
        disco.close()
        assert list(primaries) == []


def test_an_absent_primary_does_not_end_the_blocking_iterator() -> None:
    with peerdisco.sync.Discovery(source=ScriptedSource("db", [peers("db", [1])])) as disco:
        assert next(disco.watch_primary()) is None


# One line.


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (snapshot("db-0 db-1"), "2 peers (db-0, db-1)"),
        (snapshot("db-0"), "1 peer (db-0)"),
        (Snapshot(SERVICE), "peers unknown"),
        (Snapshot(SERVICE, observed_at=NOW), "0 peers"),
        (snapshot("db-0", incomplete_reason="cut"), "1 peer (db-0), may be incomplete"),
        (
            snapshot("db-0", last_error=ResolverUnavailable(SERVICE, ()), age=3.21),
            "1 peer (db-0), stale for 3.2 s",
        ),
        (
            Snapshot(SERVICE, last_error=ResolverUnavailable(SERVICE, ())),
            "peers unknown, the lookup failed",
        ),
    ],
)
def test_the_repr_of_a_snapshot(found: Snapshot, words: str) -> None:
    assert repr(found) == f"<Snapshot {SERVICE}: {words}>"


def test_the_repr_of_a_large_snapshot_is_short() -> None:
    assert len(repr(snapshot(" ".join(f"db-{n}" for n in range(5000))))) < 200


def test_the_repr_of_a_change() -> None:
    before = Snapshot(SERVICE, (at("db-0", "10.0.0.1"), peer("db-1")))
    error = ResolverUnavailable("two\nlines", ())
    after = Snapshot(SERVICE, (at("db-0", "10.0.0.2"), peer("db-2")), last_error=error)
    text = repr(Change.between(before, after))
    assert text.startswith(f"<Change {SERVICE}: +db-2, -db-1, ~db-0, degraded (two lines: ")
    assert "\n" not in text
    assert repr(Change.between(after, after)) == f"<Change {SERVICE}: nothing>"


async def test_the_repr_of_a_discovery() -> None:
    clock = ManualClock()
    disco = discovery(clock, peers("db", 2))
    name = "<Discovery db.default.svc.cluster.local:"
    assert repr(disco) == f"{name} peers unknown, not started>"
    async with disco:
        await disco.wait(2)
        assert repr(disco) == f"{name} 2 peers (db-0, db-1), running>"
    assert repr(disco) == f"{name} 2 peers (db-0, db-1), closed>"


def test_the_repr_of_a_blocking_discovery() -> None:
    disco = peerdisco.sync.Discovery(source=ScriptedSource("db", [peers("db", 2)]))
    assert repr(disco).startswith("<sync.Discovery db.default.svc.cluster.local: ")


# Several ports.


async def test_several_port_names_give_each_port_by_its_name() -> None:
    ports = {"mysql": 3306, "mysqlx": 33060, "metrics": 9104}
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=3, ports=ports)
        found = await peerdisco.discover(
            FQDN,
            port_name=["mysql", "MySQLX", "mysql"],
            nameservers=[dns.nameserver],
        )
    assert found.names == ("db-0", "db-1", "db-2")
    assert {frozenset(peer.ports.items()) for peer in found} == {
        frozenset({"mysql": 3306, "mysqlx": 33060}.items())
    }
    assert found["db-0"].url("mysqlx") == f"{found['db-0'].address}:33060"


async def test_the_variable_takes_several_port_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDISCO_PORT_NAME", "mysql, metrics")
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=1, ports={"mysql": 3306, "metrics": 9104})
        found = await peerdisco.discover(FQDN, nameservers=[dns.nameserver])
    assert dict(found["db-0"].ports) == {"mysql": 3306, "metrics": 9104}


async def test_a_port_that_no_peer_has_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=2, ports={"mysql": 3306})
        async with peerdisco.Discovery(
            FQDN,
            port_name=("mysql", "mysqlz"),
            nameservers=[dns.nameserver],
            interval=0.01,
            min_interval=0.01,
        ) as disco:
            snapshot = await disco.wait(2, timeout=30)
            await disco.wait(lambda _: disco.lookups > 4, timeout=30)
    assert dict(snapshot["db-1"].ports) == {"mysql": 3306}
    assert [
        record.getMessage() for record in caplog.records if "mysqlz" in record.getMessage()
    ] == [f"{FQDN}: no peer has a port named 'mysqlz'; check the name and the protocol"]


async def test_ports_of_which_none_exists_are_not_found() -> None:
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=2, ports={"mysql": 3306})
        with pytest.raises(peerdisco.ServiceNotFound):
            await peerdisco.discover(FQDN, port_name=["a", "b"], nameservers=[dns.nameserver])


async def test_several_ports_fail_as_a_whole_and_nobody_leaves() -> None:
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=2, ports={"mysql": 3306, "metrics": 9104})
        async with peerdisco.Discovery(
            FQDN, port_name=["mysql", "metrics"], nameservers=[dns.nameserver], interval=0.05
        ) as disco:
            before = await disco.wait(2, timeout=30)
            watch = disco.watch()
            await anext(watch)
            dns.fail("servfail")
            disco.refresh()
            change = await anext(watch)
    assert change.degraded
    assert change.snapshot.peers == before.peers


async def test_an_unchanged_answer_gives_the_same_peers_again() -> None:
    with ClusterDNS() as dns:
        dns.statefulset("db", service="db", replicas=2, ports={"mysql": 3306, "metrics": 9104})
        async with peerdisco.Discovery(
            FQDN,
            port_name=["mysql", "metrics"],
            nameservers=[dns.nameserver],
            interval=0.01,
            min_interval=0.01,
        ) as disco:
            first = await disco.wait(2, timeout=30)
            later = await disco.wait(lambda _: disco.lookups > 4, timeout=30)
    assert first.peers is later.peers


@pytest.mark.parametrize("names", [["mysql", ""], ["mysql", 3306], ["two words"]])
def test_a_list_with_a_name_that_is_none_is_refused(names: Any) -> None:
    with pytest.raises(peerdisco.ConfigurationError, match="port"):
        peerdisco.Discovery(FQDN, port_name=names)


# The modules.


@pytest.mark.parametrize("name", ["hooks", "mysql", "sources", "sync", "testing"])
def test_a_public_module_is_an_attribute_of_the_package(name: str) -> None:
    assert getattr(peerdisco, name).__name__ == f"peerdisco.{name}"
    assert name in dir(peerdisco)
