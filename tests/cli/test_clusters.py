"""The command about a multi-cluster service, named ports, and choices that leave nobody."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peerdisco.testing import ClusterDNS, ServicePort
from tests.unit.records import Records, serves
from tests.unit.scripted import NameServer
from tests.unit.test_clusters import SERVICE, records

from .command import peerdisco


@contextmanager
def serving(answers: Records) -> Iterator[str]:
    """A name server on a thread of its own; where it is."""
    loop, server = asyncio.new_event_loop(), NameServer(serves(answers))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield str(server.endpoint)
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def at() -> Iterator[tuple[str, ...]]:
    with serving(records()) as server:
        yield SERVICE, "--nameserver", server


def test_peers_lists_every_cluster_and_says_why_there_is_no_primary(at: tuple[str, ...]) -> None:
    done = peerdisco("peers", *at)
    assert done.status == 0
    assert done.out.splitlines()[:3] == [
        "NAME  CLUSTER  ORDINAL  ADDRESSES  PORTS  ROLE",
        "db-0  east     0        10.8.0.1   3306   -",
        "db-0  west     0        10.9.0.1   3306   -",
    ]
    assert "--cluster" in done.complaint


def test_names_are_unique_unless_a_cluster_is_chosen(at: tuple[str, ...]) -> None:
    done = peerdisco("peers", *at, "-o", "names")
    assert done.out.split() == [
        f"db-{n}.{cluster}" for n in range(3) for cluster in ("east", "west")
    ]
    one = peerdisco("peers", *at, "-o", "names", "--cluster", "west")
    assert (one.status, one.out.split(), one.err) == (0, ["db-0", "db-1", "db-2"], "")


def test_the_primary_of_one_cluster(at: tuple[str, ...]) -> None:
    ambiguous = peerdisco("primary", *at)
    assert (ambiguous.status, ambiguous.out) == (2, "")
    assert "east, west" in ambiguous.complaint
    done = peerdisco("primary", *at, "-o", "hostnames", env={"PEERDISCO_CLUSTER": "west"})
    assert (done.status, done.out) == (0, f"db-0.west.{SERVICE}\n")
    facts = json.loads(peerdisco("peers", *at, "-o", "json", "--cluster", "east").out)
    assert facts["primary"] == "db-0"
    assert {peer["cluster"] for peer in facts["peers"]} == {"east"}


@pytest.mark.parametrize("command", [("peers",), ("wait", "--required", "1", "--timeout", "1")])
def test_a_cluster_without_pods_is_distinguished_from_a_service_without(
    at: tuple[str, ...], command: tuple[str, ...]
) -> None:
    done = peerdisco(*command, *at, "--cluster", "eastt")
    assert done.status == (3 if command == ("peers",) else 5)
    complaint = done.complaint
    assert "6 peers, none of cluster eastt (there is east, west; did you mean east?)" in complaint
    assert "publishNotReady" not in complaint


def test_a_port_over_udp() -> None:
    with ClusterDNS() as dns:
        ports = [ServicePort("gossip", 7946, "UDP")]
        dns.statefulset("db", service="db", replicas=2, ports=ports)
        place = ("db", "--port-name", "gossip")
        wrong = peerdisco("peers", *place, env=dns.environment)
        assert wrong.status == 2
        assert "--protocol udp" in wrong.complaint
        done = peerdisco("peers", *place, "--protocol", "UDP", env=dns.environment)
        assert (done.status, done.err) == (0, "")
        assert done.out.count("gossip:7946") == 2


def test_a_statefulset_without_pods_is_distinguished_from_those_with_some(dns: ClusterDNS) -> None:
    place = ("my-database", "--statefulset", "mysq1")
    words = "3 peers, none of StatefulSet mysq1 (there is mysql; did you mean mysql?)"
    for command, status in (
        (("peers",), 3),
        (("primary",), 3),
        (("wait", "--required", "1", "--timeout", "0.5"), 5),
        (("primary", "--wait", "--timeout", "0.5"), 5),
    ):
        done = peerdisco(command[0], *place, *command[1:], env=dict(dns.environment))
        assert (done.status, done.out) == (status, ""), done
        assert words in done.complaint
        assert "publishNotReady" not in done.complaint


def test_is_primary_says_that_it_cannot_tell_the_clusters_apart(at: tuple[str, ...]) -> None:
    me = {"POD_NAME": "db-0", "POD_NAMESPACE": "prod"}
    unknown = peerdisco("is-primary", *at, env=me)
    assert unknown.status == 2
    assert "db-0.east, db-0.west" in unknown.complaint
    own = {**me, "POD_IP": "10.8.0.1"}
    assert peerdisco("is-primary", *at, "--cluster", "east", env=own).status == 0
    assert peerdisco("is-primary", *at, env=own).status == 2
