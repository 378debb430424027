"""Multi-cluster services (KEP-1645): pods of one name in several clusters are several peers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

import peerdisco
from peerdisco.dns.aiodns_resolver import AiodnsResolver
from peerdisco.dns.resolver import Resolver
from peerdisco.dns.wire import name_from_text
from peerdisco.exceptions import AmbiguousPrimary, ConfigurationError, UnusableAnswer
from peerdisco.membership.machine import Membership
from peerdisco.membership.snapshots import SnapshotBuilder
from peerdisco.model import Answered, Change, Failed, Identity, Observation, Peer, Snapshot
from peerdisco.names import parse_service
from peerdisco.primary.verdicts import Decision, Probe, may_bootstrap, must_step_down
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.large.ordinals import Ordinals
from peerdisco.sources.peer_factory import PeerFactory
from tests.unit.sources.test_leftovers import Open

from .records import Records, serves
from .scripted import Serve, serving

SERVICE = "db.prod.svc.clusterset.local"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
S = f"{SERVICE}."


def address(cluster: str, number: int) -> str:
    return f"10.{ {'east': 8, 'west': 9}[cluster] }.0.{number + 1}"


def pod(cluster: str, number: int, statefulset: str = "db") -> Peer:
    name = f"{statefulset}-{number}"
    return Peer(
        name=name,
        ordinal=number,
        statefulset=statefulset,
        hostname=f"{name}.{cluster}.{SERVICE}",
        addresses=(ip_address(address(cluster, number)),),
        cluster=cluster,
    )


EAST = tuple(pod("east", n) for n in range(3))
WEST = tuple(pod("west", n) for n in range(3))
BOTH = (*EAST, *WEST)


def records(
    clusters: Iterable[str] = ("east", "west"),
    *,
    asked: str = S,
    service: str = S,
    glue: bool = True,
) -> Records:
    lines: list[str] = []
    found: dict[tuple[str, str], Sequence[str]] = {(asked, "SRV"): lines}
    for cluster in clusters:
        for n in range(3):
            target = f"db-{n}.{cluster}.{service}"
            own = f"{target} A {address(cluster, n)}"
            lines.append(f"{asked} SRV 0 50 3306 {target}")
            if glue:
                lines.append(f"+{own}")
            found[target, "A"] = [own]
    found[service, "A"] = [
        f"{service} A {address(cluster, n)}" for cluster in clusters for n in range(3)
    ]
    return found


async def observe(
    serve: Serve,
    answers: Records,
    service: str = SERVICE,
    *,
    port_name: str | None = None,
    clusters: bool | None = None,
    resolver: Open = Resolver,
) -> Observation:
    server = await serve(serves(answers))
    source = HeadlessDNS(
        parse_service(service),
        [server.endpoint],
        port_name=port_name,
        clusters=clusters,
        resolver=resolver,
    )
    try:
        return await source.observe(timeout=5)
    finally:
        await source.aclose()


# Answers.


@pytest.mark.parametrize("resolver", [Resolver, AiodnsResolver])
@pytest.mark.parametrize("glue", [True, False])
@pytest.mark.parametrize("port_name", [None, "mysql"])
async def test_the_pods_of_every_cluster_are_listed(
    resolver: Open, glue: bool, port_name: str | None
) -> None:
    """CoreDNS answers SRV for ``_port._proto`` alone, and has no PTR."""
    asked = f"_mysql._tcp.{S}" if port_name else S
    async with serving() as serve:
        seen = await observe(
            serve, records(asked=asked, glue=glue), port_name=port_name, resolver=resolver
        )
    assert isinstance(seen, Answered), seen
    assert seen.incomplete_reason is None
    assert [(p.unique_name, p.ordinal, str(p.address)) for p in seen.peers] == [
        (f"db-{n}.{cluster}", n, address(cluster, n))
        for n in range(3)
        for cluster in ("east", "west")
    ]
    assert {peer.hostname for peer in seen.peers} == {peer.hostname for peer in BOTH}
    assert [dict(peer.ports) for peer in seen.peers] == [{port_name or "": 3306}] * 6


async def test_where_the_bare_name_has_no_srv_the_reason_says_what_to_ask_for() -> None:
    answers = {(S, "A"): [f"{S} A 10.8.0.1"]}
    async with serving() as serve:
        seen = await observe(serve, answers)
    assert isinstance(seen, Answered)
    assert seen.incomplete_reason is not None
    assert "--port-name" in seen.incomplete_reason


@pytest.mark.parametrize("domain", ["cluster.local", "example.com"])
async def test_elsewhere_two_labels_are_no_peer_unless_a_cluster_was_chosen(domain: str) -> None:
    service = f"db.prod.svc.{domain}"
    answers = records(asked=f"{service}.", service=f"{service}.")
    async with serving() as serve:
        refused = await observe(serve, answers, service)
        read = await observe(serve, answers, service, clusters=True)
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, UnusableAnswer)
    assert "two labels below" in str(refused.error)
    assert isinstance(read, Answered)
    assert len(read.peers) == 6


@pytest.mark.parametrize("cluster", ["e_ast", "*", "EAST-", "-"])
async def test_what_is_no_label_is_no_cluster(cluster: str) -> None:
    answers = {(S, "SRV"): [f"{S} SRV 0 1 1 db-0.{cluster}.{S}"]}
    async with serving() as serve:
        seen = await observe(serve, answers)
    assert isinstance(seen, Failed), seen


async def test_a_pod_without_a_host_name_has_no_ordinal_in_a_cluster_either() -> None:
    name = f"10-8-0-1.east.{S}"
    answers = {(S, "SRV"): [f"{S} SRV 0 1 1 {name}", f"+{name} A 10.8.0.1"]}
    async with serving() as serve:
        seen = await observe(serve, answers)
    assert isinstance(seen, Answered)
    assert [(peer.unique_name, peer.ordinal) for peer in seen.peers] == [("10-8-0-1.east", None)]


def test_ordinals_are_searched_in_each_cluster() -> None:
    peer_factory = PeerFactory(SERVICE, clusters=True)
    names = [name_from_text(f"db-{n}.{cluster}.{SERVICE}") for n in (0, 9) for cluster in "ab"]
    pods = [peer_factory.pod(name) for name in names]
    assert pods == [("db.a", 0), ("db.b", 0), ("db.a", 9), ("db.b", 9)]
    assert [peer_factory.name_of(*found) for found in pods if found] == names
    ordinals = Ordinals([found for found in pods if found])
    assert {("db.a", 5), ("db.b", 5)} <= set(ordinals.next(100))
    peer_factory.peers(dict.fromkeys(names, (1,)), {})
    assert [peer_factory.pod(name) for name in names] == pods


# Identity.


def test_names_are_unique_with_the_cluster() -> None:
    assert EAST[0].unique_name == str(EAST[0]) == "db-0.east"
    snapshot = Snapshot(SERVICE, BOTH)
    assert "db-0" in snapshot
    assert "db-0.west" in snapshot
    assert "db-0.north" not in snapshot
    assert EAST[0] in snapshot
    assert [snapshot.name_of(peer) for peer in snapshot][:2] == ["db-0.east", "db-0.west"]
    assert (
        SnapshotBuilder(cluster="east").snapshot(SERVICE, BOTH, observed_at=NOW).name_of(EAST[0])
        == "db-0"
    )


def test_pods_of_one_name_join_move_and_leave_apart() -> None:
    membership = Membership()
    changes = membership.observe(Answered(BOTH, 5.0), 0.0)
    assert len(changes.joined) == 6
    moved = dataclasses.replace(WEST[1], addresses=(ip_address("10.9.9.9"),))
    left: list[str] = []
    replaced: list[str] = []
    for now in range(1, 200):
        seen = (*EAST, WEST[0], moved)
        changes = membership.observe(Answered(seen, 5.0), float(now))
        left += [peer.unique_name for peer in changes.left]
        replaced += [new.unique_name for _, new in changes.replaced]
    assert replaced == ["db-1.west"]
    assert left == ["db-2.west"]
    assert len(membership.peers) == 5


def test_a_change_keeps_clusters_apart() -> None:
    before, after = Snapshot(SERVICE, BOTH), Snapshot(SERVICE, (*EAST, *WEST[:2]))
    change = Change.between(before, after)
    assert (change.joined, change.left, change.replaced) == ((), (WEST[2],), ())
    assert not Change.between(before, after, ignore="db-2.west").left
    assert Change.between(before, after, ignore="db-2").left == (WEST[2],)


# Whose ordinals count.


@pytest.mark.parametrize("peers", [BOTH, (*EAST, *WEST[1:]), EAST, WEST[1:]], ids=len)
def test_the_primary_is_ambiguous_without_a_cluster(peers: tuple[Peer, ...]) -> None:
    """Also while pods of one cluster alone are seen: the others may be out of reach."""
    snapshot = SnapshotBuilder().snapshot(SERVICE, peers, observed_at=NOW)
    with pytest.raises(AmbiguousPrimary, match=r"--cluster") as caught:
        _ = snapshot.primary
    assert set(caught.value.clusters) == {peer.cluster for peer in peers}
    for ask in ("members", "replicas", "missing", "backup_candidate"):
        with pytest.raises(AmbiguousPrimary):
            getattr(snapshot, ask)


def test_each_cluster_counts_its_own_ordinals() -> None:
    peers = (*EAST[1:], *WEST)
    east, west = (
        SnapshotBuilder(cluster=cluster).snapshot(SERVICE, peers, observed_at=NOW)
        for cluster in ("east", "west")
    )
    assert (east.primary, west.primary) == (None, WEST[0])
    assert (east.missing, west.missing) == ((0,), ())
    assert east.peers == EAST[1:]
    assert set(east.left_out) == set(WEST)
    assert west.backup_candidate == WEST[2]


def test_several_statefulsets_in_one_cluster_are_ambiguous_still() -> None:
    peers = (*EAST, pod("east", 0, "other"), *WEST)
    snapshot = SnapshotBuilder(cluster="east").snapshot(SERVICE, peers, observed_at=NOW)
    with pytest.raises(AmbiguousPrimary, match="StatefulSets db, other"):
        _ = snapshot.primary
    chosen = SnapshotBuilder(cluster="east", statefulset="db").snapshot(
        SERVICE, peers, observed_at=NOW
    )
    assert chosen.primary == EAST[0]


# Which of them is this pod.


def me(*addresses: str, name: str = "db-0", namespace: str = "prod") -> Identity:
    return Identity(
        name, namespace, 0, "db", addresses=tuple(ip_address(text) for text in addresses)
    )


@pytest.mark.parametrize(
    ("identity", "local"),
    [
        (me("10.9.0.1"), WEST[0]),
        (me("10.8.0.1", "fd00::1"), EAST[0]),
        (me("10.1.1.1"), None),
        (me(), None),
        (me("10.8.0.1", "10.9.0.1"), None),
        (me("10.9.0.1", namespace="west"), None),
        (me("10.9.0.1", name="db-1"), None),
    ],
)
def test_this_pod_is_recognised_by_its_address(identity: Identity, local: Peer | None) -> None:
    assert Snapshot(SERVICE, BOTH, identity=identity).local is local


def test_data_in_another_cluster_forbids_a_bootstrap() -> None:
    """The other cluster's pod of the same name is not this pod."""
    identity = me("10.8.0.1")
    snapshot = SnapshotBuilder(identity).snapshot(SERVICE, (EAST[0], WEST[0]), observed_at=NOW)
    held = Probe(WEST[0].unique_name, answered=True, holds_data=True)
    own = Probe(EAST[0].unique_name, answered=True, holds_data=True)
    for first_start in (True, False):
        verdict = may_bootstrap(snapshot, identity, [held, own], first_start=first_start)
        assert verdict.decision is not Decision.ALLOWED
        assert "db-0.west holds data" in str(verdict)
        assert "db-0.east holds data" not in str(verdict)


def test_the_expected_pods_are_those_of_this_pods_cluster() -> None:
    identity = me("10.8.0.1")
    view = SnapshotBuilder(identity, cluster="east")
    snapshot = view.snapshot(SERVICE, BOTH, observed_at=NOW)
    empty = [Probe(peer.unique_name, answered=True, holds_data=False) for peer in EAST[1:]]
    assert may_bootstrap(snapshot, identity, empty, expected=3).decision is Decision.ALLOWED
    verdict = may_bootstrap(snapshot, identity, empty, expected=4)
    assert verdict.decision is not Decision.ALLOWED
    assert "db-3.east is not listed" in str(verdict)


def test_a_pod_that_cannot_be_distinguished_need_not_step_down() -> None:
    for view in (SnapshotBuilder(me()), SnapshotBuilder(me(), cluster="east")):
        snapshot = view.snapshot(SERVICE, BOTH, observed_at=NOW)
        assert snapshot.local is None
        assert must_step_down(snapshot, me()) is None
    gone = SnapshotBuilder(me(), cluster="east").snapshot(
        SERVICE, (*EAST[1:], *WEST), observed_at=NOW
    )
    assert must_step_down(gone, me()) is not None


# In JSON.


def test_json_has_the_cluster_and_names_that_are_unique() -> None:
    snapshot = SnapshotBuilder(me("10.9.0.1")).snapshot(SERVICE, BOTH, observed_at=NOW)
    facts = json.loads(json.dumps(snapshot.as_dict()))
    assert [(peer["cluster"], peer["name"]) for peer in facts["peers"]][:2] == [
        ("east", "db-0"),
        ("west", "db-0"),
    ]
    assert (facts["primary"], facts["local"]) == (None, "db-0.west")
    chosen = SnapshotBuilder(me("10.9.0.1"), cluster="west").snapshot(
        SERVICE, BOTH, observed_at=NOW
    )
    facts = json.loads(json.dumps(chosen.as_dict()))
    assert (facts["primary"], facts["local"], len(facts["peers"])) == ("db-0", "db-0", 3)


# Arguments.


async def test_the_cluster_is_an_argument_or_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as serve:
        server = await serve(serves(records()))
        at = [str(server.endpoint)]
        snapshot = await peerdisco.discover(SERVICE, cluster="east", nameservers=at)
        monkeypatch.setenv("PEERDISCO_CLUSTER", "west")
        other = await peerdisco.discover(SERVICE, nameservers=at)
        async with peerdisco.Discovery(SERVICE, nameservers=at) as disco:
            watched = await disco.wait(3, timeout=10)
    assert (snapshot.primary, snapshot.cluster) == (
        dataclasses.replace(EAST[0], ports=snapshot.peers[0].ports),
        "east",
    )
    assert {peer.cluster for peer in other} == {peer.cluster for peer in watched} == {"west"}


@pytest.mark.parametrize("cluster", ["East", "a.b", "-", "a" * 64])
def test_what_is_no_clusters_name_is_refused(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^cluster: got"):
        peerdisco.Discovery(SERVICE, cluster=cluster, nameservers=["127.0.0.1:9"])
    monkeypatch.setenv("PEERDISCO_CLUSTER", cluster)
    with pytest.raises(ConfigurationError, match=r"^PEERDISCO_CLUSTER: got"):
        peerdisco.Discovery(SERVICE, nameservers=["127.0.0.1:9"])
