"""What each kind of reply proves: the table of RFC 2308, section 2, and what servers make of it."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from peerdisco.dns import wire
from peerdisco.dns.evidence import is_within, judge, shows_zone
from peerdisco.model import Outcome

SERVICE = "db.shop.svc.cluster.local."
NAME = wire.name_from_text(SERVICE)
ZONE = wire.name_from_text("cluster.local")
ROOT_NS = (". 30 IN NS a.root-servers.net.",)
NS = ("cluster.local. 30 IN NS ns.dns.cluster.local.",)


def soa(zone: str) -> tuple[str, ...]:
    return (f"{zone} 30 IN SOA ns.{zone.lstrip('.')} hostmaster.example. 1 2 3 4 5",)


def reply(
    rcode: str = "NOERROR",
    authority: tuple[str, ...] = (),
    answer: tuple[str, ...] = (),
    flags: str = "AA",
    rtype: str = "SRV",
    name: str = SERVICE,
) -> wire.Message:
    message = dns.message.make_response(dns.message.make_query(name, rtype))
    message.set_rcode(dns.rcode.from_text(rcode))
    message.flags |= dns.flags.from_text(flags)
    for section, lines in ((message.answer, answer), (message.authority, authority)):
        for line in lines:
            owner, ttl, rclass, kind, data = line.split(" ", 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, kind, data))
    return wire.read(message.to_wire())


ANSWER = (f"{SERVICE} 30 IN SRV 0 1 3306 db-0.{SERVICE}",)
ALIAS = (f"{SERVICE} 30 IN CNAME db.example.com.",)
OUR_SOA = soa("cluster.local.")

CASES: dict[str, tuple[wire.Message, Outcome, Outcome]] = {
    # The reply, what it is worth from a server that is not trusted, and from one that is.
    "records": (reply(answer=ANSWER), Outcome.ANSWER, Outcome.ANSWER),
    "records without AA": (reply(answer=ANSWER, flags="RA"), Outcome.ANSWER, Outcome.ANSWER),
    "truncated, without records": (reply(flags="TC"), Outcome.ANSWER, Outcome.ANSWER),
    "NXDOMAIN, truncated": (reply("NXDOMAIN", flags="TC"), Outcome.ANSWER, Outcome.ANSWER),
    # RFC 2308, 2.1: name errors.
    "NXDOMAIN 1": (reply("NXDOMAIN", (*OUR_SOA, *NS)), Outcome.NXDOMAIN, Outcome.NXDOMAIN),
    "NXDOMAIN 2": (reply("NXDOMAIN", OUR_SOA), Outcome.NXDOMAIN, Outcome.NXDOMAIN),
    "NXDOMAIN 3": (reply("NXDOMAIN"), Outcome.FOREIGN, Outcome.NXDOMAIN),
    "NXDOMAIN 4": (reply("NXDOMAIN", NS), Outcome.FOREIGN, Outcome.NXDOMAIN),
    "NXDOMAIN of the root": (reply("NXDOMAIN", soa(".")), Outcome.FOREIGN, Outcome.FOREIGN),
    "NXDOMAIN of a parent": (reply("NXDOMAIN", soa("local.")), Outcome.FOREIGN, Outcome.FOREIGN),
    "NXDOMAIN of a namesake": (
        reply("NXDOMAIN", soa("my-cluster.local.")),
        Outcome.FOREIGN,
        Outcome.FOREIGN,
    ),
    "NXDOMAIN of a zone below": (
        reply("NXDOMAIN", soa("shop.svc.Cluster.Local.")),
        Outcome.NXDOMAIN,
        Outcome.NXDOMAIN,
    ),
    # RFC 2308, 2.2: no data, and referrals.
    "no data 1": (reply(authority=(*OUR_SOA, *NS)), Outcome.NO_DATA, Outcome.NO_DATA),
    "no data 2": (reply(authority=OUR_SOA), Outcome.NO_DATA, Outcome.NO_DATA),
    "no data 3, AA": (reply(), Outcome.FOREIGN, Outcome.NO_DATA),
    "no data 3, RA": (reply(flags="RA"), Outcome.FOREIGN, Outcome.NO_DATA),
    "no data of the root": (reply(authority=soa(".")), Outcome.FOREIGN, Outcome.FOREIGN),
    "referral": (reply(authority=NS, flags="RA"), Outcome.LAME, Outcome.LAME),
    "referral to the root": (reply(authority=ROOT_NS, flags=""), Outcome.LAME, Outcome.LAME),
    "lame, nothing at all": (reply(flags=""), Outcome.LAME, Outcome.LAME),
    # Failures.
    "SERVFAIL with an SOA": (reply("SERVFAIL", OUR_SOA), Outcome.SERVFAIL, Outcome.SERVFAIL),
    "SERVFAIL with records": (
        reply("SERVFAIL", answer=ANSWER),
        Outcome.SERVFAIL,
        Outcome.SERVFAIL,
    ),
    "REFUSED": (reply("REFUSED"), Outcome.REFUSED, Outcome.REFUSED),
    "YXDOMAIN": (reply("YXDOMAIN"), Outcome.ERROR, Outcome.ERROR),
    "NXDOMAIN with records": (
        reply("NXDOMAIN", answer=ANSWER),
        Outcome.FOREIGN,
        Outcome.NXDOMAIN,
    ),
    # An alias: the name exists; whose it is, is for the source to say.
    "alias without data": (
        reply(answer=ALIAS, authority=soa("example.com.")),
        Outcome.NO_DATA,
        Outcome.NO_DATA,
    ),
    "alias to nothing": (
        reply("NXDOMAIN", soa("example.com."), ALIAS),
        Outcome.NXDOMAIN,
        Outcome.NXDOMAIN,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_reply_proves(case: str) -> None:
    message, untrusted, trusted = CASES[case]
    for trust, outcome in ((False, untrusted), (True, trusted)):
        found, detail = judge(message, NAME, wire.SRV, ZONE, trust)
        assert found is outcome
        assert bool(detail) is (outcome in (Outcome.FOREIGN, Outcome.LAME, Outcome.ERROR))


def test_the_detail_names_both_zones() -> None:
    message = reply("NXDOMAIN", soa("corp.example."))
    assert judge(message, NAME, wire.SRV, ZONE, True)[1] == (
        "NXDOMAIN of the zone 'corp.example', not of 'cluster.local'"
    )
    assert judge(reply("NXDOMAIN"), NAME, wire.SRV, ZONE, False)[1] == (
        "NXDOMAIN, and nothing shows that the server serves 'cluster.local'"
    )


@pytest.mark.parametrize("case", CASES)
def test_without_a_known_zone_all_but_referrals_count(case: str) -> None:
    message, _, trusted = CASES[case]
    named = {Outcome.NO_DATA, Outcome.NXDOMAIN}
    outcome, _ = judge(message, NAME, wire.SRV, None, False)
    if trusted is Outcome.FOREIGN:
        assert outcome in named
    else:
        assert outcome is trusted


REVERSE = "3.0.244.10.in-addr.arpa."


@pytest.mark.parametrize("zone", [".", "10.in-addr.arpa.", "in-addr.arpa.", None])
def test_a_reverse_name_is_in_no_zone_of_the_cluster(zone: str | None) -> None:
    """Whose zone it is differs from cluster to cluster: the server has to be trusted otherwise."""
    authority = () if zone is None else soa(zone)
    message = reply("NXDOMAIN", authority, rtype="PTR", name=REVERSE)
    name = wire.name_from_text(REVERSE)
    assert judge(message, name, wire.PTR, ZONE, True)[0] is Outcome.NXDOMAIN
    assert judge(message, name, wire.PTR, ZONE, False)[0] is Outcome.FOREIGN


PTR = (f"{REVERSE} 30 IN PTR db-0.{SERVICE}",)
SHOWS: dict[str, tuple[wire.Message, bool]] = {
    "a pod of the service": (reply(answer=ANSWER), True),
    "the name of an address": (reply(answer=PTR, rtype="PTR", name=REVERSE), True),
    "its own SOA": (reply("NXDOMAIN", OUR_SOA), True),
    "another SOA": (reply("NXDOMAIN", soa(".")), False),
    "nothing": (reply(), False),
    "an address, which some servers have for every name": (
        reply(answer=(f"{SERVICE} 30 IN A 192.0.2.80",), rtype="A"),
        False,
    ),
    "targets elsewhere": (reply(answer=(f"{SERVICE} 30 IN SRV 0 1 80 www.example.",)), False),
}


@pytest.mark.parametrize("case", SHOWS)
def test_which_answers_show_that_a_server_serves_the_zone(case: str) -> None:
    message, shows = SHOWS[case]
    assert shows_zone(message, ZONE) is shows
    assert not shows_zone(message, None)


@pytest.mark.parametrize(
    ("name", "zone", "within"),
    [
        ("cluster.local", "cluster.local", True),
        ("svc.cluster.local", "cluster.local", True),
        ("local", "cluster.local", False),
        ("my-cluster.local", "cluster.local", False),
        ("cluster.local.example", "cluster.local", False),
        (".", "cluster.local", False),
        ("cluster.local", ".", True),
    ],
)
def test_being_within_a_zone(name: str, zone: str, within: bool) -> None:
    assert is_within(wire.name_from_text(name), wire.name_from_text(zone)) is within


def test_a_label_that_holds_the_bytes_of_a_zone_is_not_within_it() -> None:
    label = b"x" + ZONE[:-1]
    assert not is_within(bytes((len(label),)) + label + b"\0", ZONE)
