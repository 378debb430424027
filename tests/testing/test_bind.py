"""The BIND that other tests ask: what it serves, what updates change, and that it ends."""

from __future__ import annotations

from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests import bind


@pytest.fixture(autouse=True)
def needs_named() -> None:
    bind.require_named()


def ask(server: bind.Bind, name: str, rtype: str) -> dns.message.Message:
    question = dns.message.make_query(name, rtype, use_edns=0, payload=1232)
    answer, _ = dns.query.udp_with_fallback(question, "127.0.0.1", port=server.port, timeout=10)
    return answer


def data(answer: dns.message.Message) -> list[str]:
    return sorted(record.to_text() for found in answer.answer for record in found)


def test_a_service_is_served_and_changed(tmp_path: Path) -> None:
    service = bind.HeadlessService(port_name="mysql", dual_stack=True)
    with bind.serving(service.zones(range(2)), tmp_path) as server:
        answer = ask(server, service.fqdn, "SRV")
        assert data(answer) == [f"0 50 3306 db-{n}.{service.fqdn}" for n in (0, 1)]
        glue = {str(found.name) for found in answer.additional}
        assert glue == {service.hostname(0), service.hostname(1)}
        assert data(ask(server, f"_mysql._tcp.{service.fqdn}", "SRV")) == data(answer)
        assert data(ask(server, service.hostname(1), "AAAA")) == ["fd00:10:244::b"]
        for ordinal in (0, 1):
            for address in service.addresses(ordinal):
                pointers = data(ask(server, f"{address.reverse_pointer}.", "PTR"))
                assert pointers == [service.hostname(ordinal)]

        server.update(add=service.records([7]), remove=service.records([0]))
        assert data(ask(server, service.fqdn, "A")) == ["10.244.0.11", "10.244.0.17"]
        gone = ask(server, service.hostname(0), "A")
        assert gone.rcode() == dns.rcode.NXDOMAIN
        assert gone.authority


def test_a_service_without_ports_has_no_srv(tmp_path: Path) -> None:
    service = bind.HeadlessService(port=None)
    with bind.serving(service.zones(range(2)), tmp_path) as server:
        answer = ask(server, service.fqdn, "SRV")
        assert (answer.rcode(), data(answer)) == (dns.rcode.NOERROR, [])


def test_what_does_not_fit_into_a_message_is_left_out_whole(tmp_path: Path) -> None:
    service = bind.HeadlessService()
    with bind.serving(service.zones(range(1200)), tmp_path) as server:
        assert data(ask(server, service.hostname(1199), "A")) == ["10.244.4.185"]
        answer = ask(server, service.fqdn, "SRV")
        assert answer.flags & dns.flags.TC
        assert data(answer) == []
        server.update(remove=service.records(range(900, 1200)))
        answer = ask(server, service.fqdn, "SRV")
        assert not answer.flags & dns.flags.TC
        assert len(data(answer)) == 900


def test_thousands_of_pods_are_loaded(tmp_path: Path) -> None:
    service = bind.HeadlessService(port=None)
    with bind.serving(service.zones(range(5000)), tmp_path) as server:
        assert data(ask(server, service.hostname(4999), "A")) == ["10.244.19.145"]


def test_a_record_set_above_64_kib_is_more_than_bind_holds(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"ran out of space"),
        bind.serving(bind.HeadlessService().zones(range(1300)), tmp_path),
    ):
        raise RuntimeError("it must not come so far")


def test_a_zone_that_cannot_be_loaded_is_servfail(tmp_path: Path) -> None:
    service = bind.HeadlessService()
    with bind.serving(service.zones([0]), tmp_path, broken=["broken.test."]) as server:
        assert ask(server, "db.broken.test.", "A").rcode() == dns.rcode.SERVFAIL
        assert ask(server, "elsewhere.test.", "A").rcode() == dns.rcode.REFUSED


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    with bind.serving(bind.HeadlessService().zones([0]), tmp_path) as server:
        process = Path(f"/proc/{server.pid}")
        assert process.exists()
    assert not process.exists()


def test_a_zone_file_that_is_wrong_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"(?s)does not load a zone.*unexpected end of input"),
        bind.serving({"db.test.": "nonsense"}, tmp_path),
    ):
        raise RuntimeError("it must not come so far")
