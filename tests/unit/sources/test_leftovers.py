"""Records that name no peer: each is named, and an answer of such alone is a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest

from peerdisco.dns import wire
from peerdisco.dns.aiodns_resolver import AiodnsResolver
from peerdisco.dns.resolver import Resolver, ResolverProtocol
from peerdisco.exceptions import NotHeadless, UnusableAnswer
from peerdisco.membership.machine import Membership
from peerdisco.model import Answered, Empty, Failed, Observation
from peerdisco.names import Endpoint, parse_service
from peerdisco.sources.headless_dns import HeadlessDNS
from peerdisco.sources.leftovers import Leftovers

from ..records import Records, serves
from ..scripted import Serve, serving

SERVICE = "db.prod.svc.cluster.local"
S = f"{SERVICE}."

Open = Callable[[Sequence[Endpoint]], ResolverProtocol]
RESOLVERS: list[Open] = [Resolver, AiodnsResolver]


def srv(*targets: str, glue: Sequence[str] = (), name: str = S) -> Records:
    lines = [f"{name} SRV 0 50 3306 {target}" for target in targets]
    return {(name, "SRV"): [*lines, *(f"+{line}" for line in glue)]}


def pods(*labels: str) -> Records:
    glue = [f"{label}.{S} A 10.0.0.{n + 1}" for n, label in enumerate(labels)]
    return srv(*(f"{label}.{S}" for label in labels), glue=glue)


async def look_up(
    serve: Serve, records: Records, *, resolver: Open = Resolver, port_name: str | None = None
) -> Observation:
    server = await serve(serves(records))
    source = HeadlessDNS(
        parse_service(SERVICE), [server.endpoint], resolver=resolver, port_name=port_name
    )
    try:
        return await source.observe(timeout=5)
    finally:
        await source.aclose()


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("db-0.db.evil.svc.cluster.local.", "is not within"),
        ("blogs.evil.com.", "is not within"),
        ("xdb.prod.svc.cluster.local.", "is not within"),
        ("cluster.local.", "is not within"),
        (f"db-0.east.{S}", "two labels below"),
        (f"a.b.c.{S}", "3 labels below"),
        (f"db_0.{S}", "not a host name"),
        (f"*.{S}", "not a host name"),
        ("10.0.0.1.", "not an address"),
        (".", "RFC 2782"),
    ],
)
async def test_an_answer_without_any_peer_is_a_failure_with_an_example(
    resolver: Open, target: str, why: str
) -> None:
    async with serving() as serve:
        seen = await look_up(serve, srv(target), resolver=resolver)
    assert isinstance(seen, Failed), seen
    error = seen.error
    assert isinstance(error, UnusableAnswer)
    assert not isinstance(error, NotHeadless)
    assert [name for name, _ in error.records] == [target.removesuffix(".") or "."]
    assert why in str(error)
    assert error.records[0][0] in str(error)
    assert error.attempts


async def test_records_of_which_there_are_many_are_counted() -> None:
    async with serving() as serve:
        seen = await look_up(serve, srv(*(f"db-{n}.db.evil.svc.cluster.local." for n in range(5))))
    assert isinstance(seen, Failed)
    assert "and 4 more records" in str(seen.error)


async def test_records_of_another_owner_are_none_about_the_service() -> None:
    other = "other.prod.svc.cluster.local."
    async with serving() as serve:
        seen = await look_up(serve, {(S, "SRV"): [f"{other} SRV 0 50 1 db-0.{S}"]})
    assert isinstance(seen, Failed)
    assert "other.prod.svc.cluster.local: the question was for" in str(seen.error)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("glue", [True, False])
@pytest.mark.parametrize("port_name", [None, "mysql"])
async def test_a_service_with_a_cluster_ip_is_not_headless(
    resolver: Open, glue: bool, port_name: str | None
) -> None:
    asked = f"_mysql._tcp.{S}" if port_name else S
    address = f"{S} A 10.96.44.5"
    records = {**srv(S, name=asked, glue=[address] if glue else []), (S, "A"): [address]}
    async with serving() as serve:
        seen = await look_up(serve, records, resolver=resolver, port_name=port_name)
    assert isinstance(seen, Failed)
    assert isinstance(seen.error, NotHeadless)
    assert [str(address) for address in seen.error.cluster_ip] == ["10.96.44.5"]
    assert "is not headless" in str(seen.error)


async def test_a_cluster_ip_is_recognised_where_the_bare_name_has_no_srv() -> None:
    """A server that does what the specification demands: the PTR record of the address shows it."""
    records = {
        (S, "A"): [f"{S} A 10.96.44.5"],
        ("5.44.96.10.in-addr.arpa.", "PTR"): [f"5.44.96.10.in-addr.arpa. PTR {S}"],
    }
    async with serving() as serve:
        seen = await look_up(serve, records)
    assert isinstance(seen, Failed)
    assert isinstance(seen.error, NotHeadless)
    assert [str(address) for address in seen.error.cluster_ip] == ["10.96.44.5"]


ALIAS = f"{S} CNAME mysql.example.com."


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    "records",
    [
        {(S, "A"): [ALIAS]},
        {(S, "A"): [ALIAS, "mysql.example.com. A 192.0.2.1"]},
        {(S, "SRV"): [ALIAS]},
        {(S, "SRV"): [ALIAS, f"mysql.example.com. SRV 0 1 3306 db-0.{S}"]},
    ],
    ids=["A alone", "A with the address", "SRV alone", "SRV with the target"],
)
async def test_an_alias_is_named(resolver: Open, records: Records) -> None:
    async with serving() as serve:
        seen = await look_up(serve, records, resolver=resolver)
    assert isinstance(seen, Failed), seen
    assert isinstance(seen.error, NotHeadless)
    assert seen.error.alias == "mysql.example.com"


async def test_a_name_that_leads_nowhere_is_an_alias_all_the_same() -> None:
    """NXDOMAIN is about the end of the chain (RFC 2308, 2.1), and says nothing about the pods."""

    async with serving() as serve:
        server = await serve(serves({(S, "SRV"): [ALIAS]}))
        inner = server.script

        def nxdomain(asked):  # type: ignore[no-untyped-def]
            send = asked.send
            asked.send = lambda raw: send(raw[:3] + bytes((raw[3] | 3,)) + raw[4:])
            inner(asked)

        server.script = nxdomain
        source = HeadlessDNS(parse_service(SERVICE), [server.endpoint])
        seen = await source.observe(timeout=5)
        await source.aclose()
    assert isinstance(seen, Failed), seen
    assert isinstance(seen.error, NotHeadless)


async def test_records_beside_the_peers_are_logged_once_by_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = pods("db-0", "db-1")
    lines = [*good[S, "SRV"], f"{S} SRV 0 50 1 db-9.db.evil.svc.cluster.local."]
    caplog.set_level(logging.WARNING, "peerdisco")
    async with serving() as serve:
        server = await serve(serves({(S, "SRV"): lines}))
        source = HeadlessDNS(parse_service(SERVICE), [server.endpoint])
        for _ in range(3):
            seen = await source.observe(timeout=5)
            assert isinstance(seen, Answered)
            assert [peer.name for peer in seen.peers] == ["db-0", "db-1"]
            assert seen.incomplete_reason is None
        await source.aclose()
    (record,) = caplog.records
    assert record.name.startswith("peerdisco.")
    assert "db-9.db.evil.svc.cluster.local" in record.getMessage()


async def test_an_answer_about_others_lets_nobody_leave() -> None:
    async with serving() as serve:
        first = await look_up(serve, pods("db-0", "db-1", "db-2"))
        second = await look_up(serve, srv("db-0.db.evil.svc.cluster.local."))
    membership = Membership()
    membership.observe(first, 0.0)
    for now in range(1, 4000):
        membership.observe(second, float(now))
        membership.tick(float(now))
    assert len(membership.peers) == 3
    assert isinstance(membership.last_error, UnusableAnswer)


async def test_one_peer_departs_though_others_records_come_along() -> None:
    stranger = f"{S} SRV 0 50 1 db-9.db.evil.svc.cluster.local."
    async with serving() as serve:
        first = await look_up(serve, {(S, "SRV"): [*pods("db-0", "db-1")[S, "SRV"], stranger]})
        second = await look_up(serve, {(S, "SRV"): [*pods("db-0")[S, "SRV"], stranger]})
    membership = Membership()
    membership.observe(first, 0.0)
    left = []
    for now in range(1, 200):
        changes = membership.observe(second, float(now))
        left += [peer.name for peer in changes.left]
    assert left == ["db-1"]


@pytest.mark.parametrize("records", [{}, {(S, "TXT"): [f"{S} TXT x"]}], ids=["NXDOMAIN", "no data"])
async def test_an_answer_without_records_is_still_emptiness(records: Records) -> None:
    async with serving() as serve:
        assert isinstance(await look_up(serve, records), Empty)


# Single records, as no server in use sends them here.


def kept(*records: wire.Record) -> Leftovers:
    suffix = wire.name_from_text(SERVICE)
    leftovers = Leftovers(SERVICE, suffix)
    for record in records:
        leftovers.add_record(record, suffix)
    return leftovers


def test_an_alias_of_another_name_is_kept_and_is_not_the_services() -> None:
    other = wire.name_from_text("other.prod.svc.cluster.local")
    target = wire.name_from_text("mysql.example.com")
    leftovers = kept(wire.Alias(other, 5, target))
    assert leftovers.alias is None
    assert leftovers.found == {
        "other.prod.svc.cluster.local": "it is an alias (CNAME) of mysql.example.com"
    }


def test_a_record_of_another_type_is_kept_with_its_type() -> None:
    suffix = wire.name_from_text(SERVICE)
    leftovers = kept(wire.Opaque(suffix, 5, 16, wire.IN, b""))
    assert leftovers.found == {SERVICE: "the answer has a record of type 16"}
    leftovers = kept(wire.Address(suffix, 5, b"\x0a\0\0\x01"))
    assert leftovers.found == {SERVICE: "the answer has a record of Address"}


def test_of_endless_records_some_are_kept_and_what_follows_still_counts() -> None:
    names = [wire.name_from_text(f"x{n}.example.com") for n in range(1500)]
    others = [wire.Address(name, 5, b"\x0a\0\0\x01") for name in names]
    suffix, target = wire.name_from_text(SERVICE), wire.name_from_text("mysql.example.com")
    leftovers = kept(
        *others, wire.Alias(suffix, 5, target), wire.Srv(suffix, 5, 0, 100, 3306, suffix)
    )
    assert len(leftovers.found) == 200
    assert leftovers
    assert leftovers.alias == "mysql.example.com"
    assert leftovers.own_name
