from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.testing import Cluster, ClusterDNS, Query

from .asking import (
    SERVICE,
    addresses,
    ask,
    ask_blocking,
    exchange_tcp,
    exchange_udp,
    frame,
    names,
    question,
    rcode,
    read_frame,
)

SERVER_THREAD = "peerdisco-cluster-dns"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads = threading.active_count()
    yield
    assert threading.active_count() == threads
    assert not [t for t in threading.enumerate() if t.name == SERVER_THREAD]


@pytest.fixture
async def dns_() -> object:
    async with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database", replicas=3)
        yield server
    assert asyncio.all_tasks() == {asyncio.current_task()}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


# --- running


@pytest.mark.parametrize("tcp", [False, True])
async def test_in_the_running_loop(tcp: bool) -> None:
    async with ClusterDNS() as server:
        mysql = server.statefulset("mysql", service="my-database", replicas=2)
        assert names(await ask(server, tcp=tcp)) == ["mysql-0", "mysql-1"]
        mysql.scale(3)
        assert len(names(await ask(server, tcp=tcp))) == 3


@pytest.mark.parametrize("tcp", [False, True])
def test_on_a_thread_of_its_own(tcp: bool) -> None:
    with ClusterDNS() as server:
        mysql = server.statefulset("mysql", service="my-database", replicas=2)
        assert names(ask_blocking(server, tcp=tcp)) == ["mysql-0", "mysql-1"]
        mysql.restart(0)
        response = ask_blocking(server, f"mysql-0.{SERVICE}", "A", tcp=tcp)
        assert addresses(response) == ["10.244.0.5"]


@pytest.mark.skipif(
    not has_ipv6(),
    reason="this machine has no IPv6 loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0",
)
async def test_over_ipv6() -> None:
    async with ClusterDNS(host="::1") as server:
        server.statefulset("mysql", service="my-database")
        assert server.nameserver == f"[::1]:{server.port}"
        assert len(names(await ask(server))) == 3
        assert len(names(await ask(server, tcp=True))) == 3


async def test_the_same_server_again_on_the_same_port() -> None:
    with ClusterDNS() as first:
        port = first.port
    server = ClusterDNS(first.cluster, port=port)
    for _ in range(2):
        async with server:
            assert server.port == port
            assert rcode(await ask(server, tcp=True)) == "NXDOMAIN"


async def test_a_port_that_is_taken() -> None:
    with ClusterDNS() as first:
        with pytest.raises(OSError, match="in use"), ClusterDNS(port=first.port):
            pass
        with pytest.raises(OSError, match="in use"):
            async with ClusterDNS(port=first.port):
                pass


async def test_closing_twice_and_too_early() -> None:
    server = ClusterDNS()
    server.close()
    await server.aclose()
    with pytest.raises(RuntimeError, match="is not running"):
        _ = server.nameserver
    with server:
        with pytest.raises(RuntimeError, match="already running"):
            server.__enter__()
        await server.aclose()
        server.close()
    async with server:
        with pytest.raises(RuntimeError, match="aclose"):
            server.close()
        with pytest.raises(RuntimeError, match="already running"):
            await server.__aenter__()
        await server.aclose()
        await server.aclose()


async def test_closing_ends_open_connections_and_late_answers() -> None:
    server = ClusterDNS()
    async with server:
        asked = asyncio.Semaphore(0)
        server.delay(3600, name=lambda name: asked.release() is None)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(frame(question().to_wire()))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(question().to_wire(), (server.host, server.port))
            await asked.acquire()
            await asked.acquire()
    async with asyncio.timeout(5):
        with pytest.raises((EOFError, ConnectionError)):
            await reader.readexactly(1)
    writer.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_closing_a_thread_ends_open_connections() -> None:
    with ClusterDNS() as server:
        sock = socket.create_connection((server.host, server.port), timeout=5)
    with closing(sock), suppress(ConnectionResetError):
        assert sock.recv(1) == b""


def test_another_process_can_ask() -> None:
    code = "import dns.query as q, dns.message as m, sys; host, port = sys.argv[1].split(':')\n"
    code += f"print(len(q.udp(m.make_query('{SERVICE}', 'SRV'), host, 5, int(port)).answer[0]))"
    with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database", replicas=4)
        done = subprocess.run(
            [sys.executable, "-c", code, server.nameserver],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert done.stdout == "4\n"


def test_where_it_is() -> None:
    with ClusterDNS(cluster_domain="k8s.example") as server:
        assert server.environment == {
            "PEERDISCO_NAMESERVERS": f"127.0.0.1:{server.port}",
            "PEERDISCO_CLUSTER_DOMAIN": "k8s.example",
            "POD_NAMESPACE": "default",
        }


def test_changes_from_many_threads_while_it_answers() -> None:
    """Every answer is one state of the cluster: as many pods as were there at one moment."""
    with ClusterDNS() as server:
        sets = [server.statefulset(f"db{n}", f"db{n}", 1) for n in range(4)]
        done = threading.Event()

        def churn(number: int) -> None:
            while not done.is_set():
                with server.cluster.changing():
                    sets[number].scale(7)
                    sets[number].scale(3)
                sets[number].restart(0)

        threads = [threading.Thread(target=churn, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(50):
                for number in range(4):
                    seen = names(ask_blocking(server, f"db{number}.default.svc.cluster.local"))
                    assert len(seen) in (1, 3)
        finally:
            done.set()
            for thread in threads:
                thread.join()


async def test_what_was_asked(dns_: ClusterDNS) -> None:
    await ask(dns_, "My-Database.default.svc.cluster.local")
    await ask(dns_, f"mysql-0.{SERVICE}", "A", tcp=True)
    assert dns_.queries == [
        Query("My-Database.default.svc.cluster.local.", "SRV", "udp"),
        Query(f"mysql-0.{SERVICE}.", "A", "tcp"),
    ]
    dns_.clear_queries()
    assert dns_.queries == []


async def test_other_services_and_endpoints(dns_: ClusterDNS) -> None:
    dns_.service("web", ports={"http": 80})
    dns_.endpoint("web", addresses=["10.0.0.1"])
    assert names(await ask(dns_, "_http._tcp.web.default.svc.cluster.local")) == ["10-0-0-1"]


# --- TCP


async def test_pipelined_questions_are_answered_in_order(dns_: ClusterDNS) -> None:
    reader, writer = await asyncio.open_connection(dns_.host, dns_.port)
    queries = [question(f"mysql-{n}.{SERVICE}", "A") for n in range(20)]
    writer.write(b"".join(frame(query.to_wire()) for query in queries))
    for query in queries:
        response = dns.message.from_wire(await read_frame(reader))
        assert query.is_response(response)
    writer.close()


async def test_a_silent_connection_is_closed() -> None:
    async with ClusterDNS(idle_timeout=0.05) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_a_connection_that_breaks_off_in_a_question(dns_: ClusterDNS) -> None:
    reader, writer = await asyncio.open_connection(dns_.host, dns_.port)
    writer.write(b"\0\x40only this")
    writer.write_eof()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert rcode(await ask(dns_, tcp=True)) == "NOERROR"


async def test_what_is_no_question_is_survived(dns_: ClusterDNS) -> None:
    bad = b"\x12\x34" + bytes(10)
    assert (await exchange_udp(dns_, bad))[:4] == b"\x12\x34\x80\x01"
    assert (await exchange_tcp(dns_, bad))[:4] == b"\x12\x34\x80\x01"
    assert rcode(await ask(dns_)) == "NOERROR"


# --- faults


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("kind", ["servfail", "refused", "formerr", "nxdomain"])
async def test_response_codes(dns_: ClusterDNS, kind: str, tcp: bool) -> None:
    with dns_.fail(kind) as fault:  # type: ignore[arg-type]
        response = await ask(dns_, tcp=tcp)
    assert rcode(response) == kind.upper()
    assert not response.answer
    assert bool(response.authority) == (kind == "nxdomain")
    assert fault.hits == 1
    assert rcode(await ask(dns_, tcp=tcp)) == "NOERROR"


@pytest.mark.parametrize("name", ["mysql-9." + SERVICE, "9.0.244.10.in-addr.arpa"])
async def test_every_negative_answer_has_the_soa_of_the_zone(dns_: ClusterDNS, name: str) -> None:
    """Also for an address, whose name is outside the zone."""
    with dns_.fail("nxdomain"):
        response = await ask(dns_, name, "PTR")
    assert rcode(response) == "NXDOMAIN"
    (soa,) = response.authority
    assert soa.name.to_text() == "cluster.local."


async def test_drop(dns_: ClusterDNS) -> None:
    dns_.fail("drop", times=1)
    query = question()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((dns_.host, dns_.port))
        sock.send(query.to_wire())
        sock.send(question(id=1).to_wire())
        reply = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65535), 5)
    assert reply[:2] == b"\0\1"
    reader, writer = await asyncio.open_connection(dns_.host, dns_.port)
    dns_.fail("drop", transport="tcp", times=1)
    writer.write(frame(query.to_wire()) + frame(question(id=2).to_wire()))
    assert (await read_frame(reader))[:2] == b"\0\2"
    writer.close()


async def test_close(dns_: ClusterDNS) -> None:
    dns_.fail("close")
    with pytest.raises(EOFError):
        await exchange_tcp(dns_, question().to_wire())


async def test_garbage(dns_: ClusterDNS) -> None:
    dns_.fail("garbage")
    query = question()
    for reply in (
        await exchange_udp(dns_, query.to_wire()),
        await exchange_tcp(dns_, query.to_wire()),
    ):
        assert reply[:2] == query.to_wire()[:2]
        assert reply[2] & 0x80
        with pytest.raises(dns.exception.DNSException):
            dns.message.from_wire(reply)


@pytest.mark.parametrize("tcp", [False, True])
async def test_truncate(dns_: ClusterDNS, tcp: bool) -> None:
    dns_.fail("truncate")
    response = await ask(dns_, tcp=tcp)
    assert response.flags & dns.flags.TC
    assert names(response) == ["mysql-0"]
    assert not response.additional


async def test_wrong_id(dns_: ClusterDNS) -> None:
    dns_.fail("wrong-id")
    query = question()
    reply = dns.message.from_wire(await exchange_udp(dns_, query.to_wire()))
    assert reply.id == query.id ^ 0xFFFF
    assert len(names(reply)) == 3


async def test_wrong_question(dns_: ClusterDNS) -> None:
    dns_.fail("wrong-question")
    query = question()
    reply = dns.message.from_wire(await exchange_udp(dns_, query.to_wire()))
    assert reply.id == query.id
    assert str(reply.question[0].name) == "another-question.invalid."
    assert len(names(reply)) == 3


@pytest.mark.parametrize("tcp", [False, True])
async def test_delay(dns_: ClusterDNS, tcp: bool) -> None:
    loop = asyncio.get_running_loop()
    dns_.delay(0.05)
    dns_.delay(0.05)
    begun = loop.time()
    assert len(names(await ask(dns_, tcp=tcp))) == 3
    assert loop.time() - begun >= 0.1
    dns_.restore()


async def test_a_late_answer_over_udp_keeps_no_other_waiting(dns_: ClusterDNS) -> None:
    dns_.delay(3600, rtype="SRV")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(question().to_wire(), (dns_.host, dns_.port))
    assert len(addresses(await ask(dns_, SERVICE, "A"))) == 3


async def test_a_fault_is_late_too(dns_: ClusterDNS) -> None:
    loop = asyncio.get_running_loop()
    dns_.delay(0.05)
    dns_.fail("servfail")
    begun = loop.time()
    assert rcode(await ask(dns_)) == "SERVFAIL"
    assert loop.time() - begun >= 0.05


async def test_faults_are_limited(dns_: ClusterDNS) -> None:
    dns_.fail("servfail", transport="tcp")
    dns_.fail("refused", name="MYSQL-1.*")
    dns_.fail("nxdomain", rtype="aaaa")
    dns_.fail("formerr", name=lambda name: name.startswith("mysql-2."), times=1)
    assert rcode(await ask(dns_, tcp=True)) == "SERVFAIL"
    assert rcode(await ask(dns_)) == "NOERROR"
    assert rcode(await ask(dns_, f"mysql-0.{SERVICE}", "A")) == "NOERROR"
    assert rcode(await ask(dns_, f"mysql-1.{SERVICE}", "A")) == "REFUSED"
    assert rcode(await ask(dns_, SERVICE, "AAAA")) == "NXDOMAIN"
    assert rcode(await ask(dns_, f"mysql-2.{SERVICE}", "A")) == "FORMERR"
    assert rcode(await ask(dns_, f"mysql-2.{SERVICE}", "A")) == "NOERROR"
    dns_.restore()
    assert rcode(await ask(dns_, tcp=True)) == "NOERROR"


async def test_faults_are_used_up_one_after_another(dns_: ClusterDNS) -> None:
    dns_.fail("servfail", times=2)
    dns_.fail("refused", times=1)
    assert [rcode(await ask(dns_)) for _ in range(4)] == [
        "SERVFAIL",
        "SERVFAIL",
        "REFUSED",
        "NOERROR",
    ]


async def test_a_fault_is_removed(dns_: ClusterDNS) -> None:
    fault = dns_.fail("servfail")
    fault.remove()
    fault.remove()
    assert rcode(await ask(dns_)) == "NOERROR"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explode",), "fault: got 'explode'"),
        (("drop", "quic"), "transport: got 'quic'"),
        (("drop", None, None, None, 0), "times: got 0"),
    ],
)
def test_faults_that_do_not_exist(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClusterDNS().fail(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="seconds"):
        ClusterDNS().delay(-1)


async def test_an_error_in_a_predicate_is_logged_and_survived(
    dns_: ClusterDNS, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> bool:
        raise ZeroDivisionError(name)

    with dns_.fail("drop", name=broken), caplog.at_level(logging.ERROR, "peerdisco.testing"):
        query = question().to_wire()
        assert (await exchange_udp(dns_, query))[:4] == query[:2] + b"\x80\x02"
        assert (await exchange_tcp(dns_, query))[:4] == query[:2] + b"\x80\x02"
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        ZeroDivisionError,
        ZeroDivisionError,
    ]
    assert rcode(await ask(dns_)) == "NOERROR"


# --- views that differ


async def test_frozen(dns_: ClusterDNS) -> None:
    mysql = dns_.statefulset("pg", service="pg", replicas=1)
    dns_.freeze()
    mysql.scale(2)
    assert names(await ask(dns_, "pg.default.svc.cluster.local")) == ["pg-0"]
    dns_.thaw()
    assert names(await ask(dns_, "pg.default.svc.cluster.local")) == ["pg-0", "pg-1"]


async def test_two_servers_that_disagree() -> None:
    async with ClusterDNS() as one, ClusterDNS(one.cluster) as other:
        mysql = one.statefulset("mysql", service="my-database", replicas=2)
        other.freeze()
        mysql.scale(0)
        assert rcode(await ask(one)) == "NXDOMAIN"
        assert names(await ask(other)) == ["mysql-0", "mysql-1"]
        other.restore()
        assert rcode(await ask(other)) == "NXDOMAIN"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def ttls(response: dns.message.Message) -> set[int]:
    return {rrset.ttl for section in response.sections[1:] for rrset in section}


async def test_a_cache_counts_down() -> None:
    clock = Clock()
    async with ClusterDNS(ttl=30, clock=clock) as server:
        mysql = server.statefulset("mysql", service="my-database", replicas=1)
        server.caches(30)
        assert ttls(await ask(server)) == {30}
        mysql.scale(2)
        clock.now += 12.5
        response = await ask(server, SERVICE.upper(), tcp=True)
        assert names(response) == ["mysql-0"]
        assert ttls(response) == {18}
        assert str(response.question[0].name) == f"{SERVICE.upper()}."
        assert str(response.answer[0].name) == f"{SERVICE}."  # as the first one spelled it
        assert response.flags & dns.flags.AA
        clock.now += 17.5
        response = await ask(server)
        assert names(response) == ["mysql-0", "mysql-1"]
        assert ttls(response) == {30}
        mysql.scale(3)
        server.restore()
        assert len(names(await ask(server))) == 3


async def test_a_cache_holds_what_is_not_there() -> None:
    clock = Clock()
    async with ClusterDNS(ttl=30) as server:
        server.caches(10, clock)
        assert ttls(await ask(server)) == {10}
        server.statefulset("mysql", service="my-database")
        clock.now += 9.9
        response = await ask(server)
        assert rcode(response) == "NXDOMAIN"
        assert ttls(response) == {1}
        clock.now += 0.1
        assert rcode(await ask(server)) == "NOERROR"


REVERSE = "3.0.244.10.in-addr.arpa"


async def test_a_cache_keeps_a_failure_for_five_seconds() -> None:
    """As the ``cache`` plugin (README, ``servfail``; cache_test.go, RcodeServerFailure)."""
    clock = Clock()
    async with ClusterDNS(ttl=30, clock=clock) as server:
        server.statefulset("mysql", service="my-database")
        server.caches(30)
        with server.fail("servfail", times=1):
            assert rcode(await ask(server)) == "SERVFAIL"
        clock.now += 4.9
        assert rcode(await ask(server)) == "SERVFAIL"
        assert rcode(await ask(server, SERVICE, "A")) == "NOERROR"  # each question on its own
        clock.now += 0.1
        assert rcode(await ask(server)) == "NOERROR"


async def test_a_cache_keeps_what_the_zone_itself_fails_at() -> None:
    clock = Clock()
    async with ClusterDNS(clock=clock) as server:
        server.caches(30)
        assert rcode(await ask(server, REVERSE, "PTR")) == "SERVFAIL"
        server.statefulset("mysql", service="my-database")
        assert rcode(await ask(server, REVERSE, "PTR")) == "SERVFAIL"
        clock.now += 5
        assert rcode(await ask(server, REVERSE, "PTR")) == "NOERROR"


async def test_a_cache_passes_a_refusal_on() -> None:
    async with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database")
        server.caches(30)
        with server.fail("refused"):
            assert rcode(await ask(server)) == "REFUSED"
        assert rcode(await ask(server)) == "NOERROR"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"ttl": 4}, "ttl"),
        ({"ttl": 30, "serve_stale": "always"}, "serve_stale"),
        ({"ttl": 30, "serve_stale": "verify", "stale_for": float("nan")}, "stale_for"),
    ],
)
async def test_a_cache_that_coredns_would_refuse(arguments: dict[str, object], name: str) -> None:
    async with ClusterDNS() as server:
        with pytest.raises(ConfigurationError, match=name):
            server.caches(**arguments)  # type: ignore[arg-type]


async def test_a_cache_that_verifies_serves_stale_while_its_upstream_is_dead() -> None:
    clock = Clock()
    async with ClusterDNS(ttl=30, clock=clock) as server:
        mysql = server.statefulset("mysql", service="my-database", replicas=2)
        server.caches(30, serve_stale="verify", stale_for=600)
        await ask(server)
        assert rcode(await ask(server, "gone.default.svc.cluster.local")) == "NXDOMAIN"
        mysql.scale(3)
        server.cut_off()
        clock.now += 630
        assert rcode(await ask(server, SERVICE, "A")) == "SERVFAIL"  # never asked before
        clock.now -= 1
        stale = await ask(server)
        assert (names(stale), ttls(stale)) == (["mysql-0", "mysql-1"], {0})
        negative = await ask(server, "gone.default.svc.cluster.local")
        assert (rcode(negative), ttls(negative)) == ("NXDOMAIN", {0})
        clock.now += 1
        assert rcode(await ask(server)) == "SERVFAIL"
        server.reconnect()
        clock.now += 5
        fresh = await ask(server)
        assert (names(fresh), ttls(fresh)) == (["mysql-0", "mysql-1", "mysql-2"], {30})


async def test_a_cache_that_verifies_gives_the_fresh_answer_where_there_is_one() -> None:
    clock = Clock()
    async with ClusterDNS(ttl=30, clock=clock) as server:
        mysql = server.statefulset("mysql", service="my-database", replicas=2)
        server.caches(30, serve_stale="verify")
        await ask(server)
        mysql.scale(3)
        clock.now += 30
        fresh = await ask(server)
        assert (len(names(fresh)), ttls(fresh)) == (3, {30})


async def test_a_cache_that_serves_at_once_gives_one_old_answer() -> None:
    clock = Clock()
    async with ClusterDNS(ttl=30, clock=clock) as server:
        mysql = server.statefulset("mysql", service="my-database", replicas=2)
        server.caches(30, serve_stale="immediate")
        await ask(server)
        mysql.scale(3)
        clock.now += 3000
        stale = await ask(server)
        assert (len(names(stale)), ttls(stale)) == (2, {0})
        fresh = await ask(server)
        assert (len(names(fresh)), ttls(fresh)) == (3, {30})


async def test_without_a_cache_a_server_that_is_cut_off_fails() -> None:
    async with ClusterDNS() as server:
        server.statefulset("mysql", service="my-database")
        server.cut_off()
        assert rcode(await ask(server)) == "SERVFAIL"
        server.restore()
        assert rcode(await ask(server)) == "NOERROR"


async def test_a_lame_server_refers_to_the_root(dns_: ClusterDNS) -> None:
    with dns_.fail("lame"):
        response = await ask(dns_)
    assert rcode(response) == "NOERROR"
    assert not response.answer
    assert not response.flags & (dns.flags.AA | dns.flags.RA)
    assert [str(rrset.name) for rrset in response.authority] == ["."]
    assert response.authority[0].rdtype == dns.rdatatype.NS


async def test_a_foreign_server_knows_no_such_domain(dns_: ClusterDNS) -> None:
    with dns_.fail("foreign"):
        response = await ask(dns_)
    assert rcode(response) == "NXDOMAIN"
    assert response.flags & dns.flags.RA
    assert not response.flags & dns.flags.AA
    assert response.authority[0].rdtype == dns.rdatatype.SOA
    assert str(response.authority[0].name) == "."


async def test_order_is_chance_that_can_be_fixed() -> None:
    async def asked(**options: object) -> list[list[str]]:
        async with ClusterDNS(Cluster(), **options) as server:  # type: ignore[arg-type]
            server.statefulset("mysql", service="my-database", replicas=10)
            return [addresses(await ask(server, SERVICE, "A")) for _ in range(3)]

    by_chance = await asked()
    assert by_chance == await asked()
    assert len({tuple(one) for one in by_chance}) == 3
    fixed = await asked(shuffle=lambda records: None)
    assert fixed[0] == fixed[1] == [f"10.244.0.{n}" for n in range(3, 13)]
