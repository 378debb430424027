"""The order of the name servers, and what their replies showed about them."""

from __future__ import annotations

import asyncio
import re

import pytest

from peerdisco.dns import wire
from peerdisco.dns.fast_path import ServiceRecords
from peerdisco.dns.retries import PAUSES
from peerdisco.dns.servers import Servers
from peerdisco.model import Outcome
from peerdisco.names import Endpoint

from .test_evidence import ANSWER, NAME, ZONE, reply

ONE, TWO, THREE = (Endpoint(f"10.0.0.{number}", 53) for number in (1, 2, 3))
OTHER_ZONE = wire.name_from_text("example.com")
NOBODY = reply("NXDOMAIN")
"""A negative answer that does not say of which zone it is."""
LISTED = ServiceRecords({}, {}, 5.0, False)
"""The usual answer, as the fast reader returns it."""
KNOWN = Outcome.NXDOMAIN, ""
UNKNOWN = (
    Outcome.FOREIGN,
    "NXDOMAIN, and nothing shows that the server serves 'cluster.local'",
)

UNKNOWN_DATA = Outcome.FOREIGN, UNKNOWN[1].replace("NXDOMAIN", "no data")


def servers(*configured: Endpoint) -> Servers:
    found = Servers(configured)
    found.begin(ZONE)
    return found


def outcome(of: Servers, server: Endpoint, answer: wire.Message = NOBODY) -> tuple[Outcome, str]:
    return of.outcome(server, answer, NAME, wire.SRV)


def test_there_is_at_least_one() -> None:
    with pytest.raises(ValueError, match=f"^{re.escape('a resolver needs a name server')}$"):
        Servers([])


# Their order.


def test_they_are_asked_in_the_configured_order_from_the_preferred_one_on() -> None:
    found = Servers([ONE, TWO, THREE])
    assert found.order() == (ONE, TWO, THREE)
    assert found.texts == {ONE: "10.0.0.1:53", TWO: "10.0.0.2:53", THREE: "10.0.0.3:53"}
    found.prefer(TWO)
    assert found.order() == (TWO, THREE, ONE)
    found.prefer(TWO)
    found.prefer(Endpoint("10.0.0.9", 53))
    assert found.order() == (TWO, THREE, ONE), "one that is not configured is not preferred"
    found.prefer(ONE)
    assert found.order() == (ONE, TWO, THREE)
    found.prefer(THREE)
    found.begin(ZONE)
    assert found.order() == (ONE, TWO, THREE), "each lookup begins with the first"


def test_others_replace_them() -> None:
    found = servers(ONE, TWO)
    found.prefer(TWO)
    assert not found.use([])
    assert not found.use([ONE, TWO])
    assert found.order() == (TWO, ONE), "nothing was replaced"
    assert found.use([TWO, THREE])
    assert found.configured == found.order() == (TWO, THREE)
    assert found.texts[THREE] == "10.0.0.3:53"
    assert not found.use([TWO, THREE])


# What their answers are worth.


def test_the_only_server_is_believed() -> None:
    for configured in ([ONE], [ONE, ONE]):
        assert outcome(servers(*configured), ONE) == KNOWN
    assert outcome(servers(ONE, TWO), ONE) == UNKNOWN


def test_whether_a_server_is_the_only_one_follows_the_configuration() -> None:
    found = servers(ONE)
    found.use([TWO, THREE])
    assert outcome(found, TWO) == UNKNOWN
    found.use([TWO])
    assert outcome(found, TWO) == KNOWN
    found.use([TWO, TWO])
    assert outcome(found, TWO) == KNOWN


@pytest.mark.parametrize("answer", [LISTED, reply(answer=ANSWER)], ids=["fast", "full"])
def test_a_server_that_listed_pods_is_believed_and_no_other(
    answer: wire.Message | ServiceRecords,
) -> None:
    found = servers(ONE, TWO)
    assert found.outcome(ONE, answer, NAME, wire.SRV) == (Outcome.ANSWER, "")
    assert (outcome(found, ONE), outcome(found, TWO)) == (KNOWN, UNKNOWN)
    found.begin(ZONE)
    assert outcome(found, ONE) == KNOWN, "in later lookups, too"
    found.begin(OTHER_ZONE)
    found.begin(ZONE)
    assert outcome(found, ONE) == UNKNOWN, "it showed nothing about another zone"


def test_a_server_is_believed_as_long_as_it_is_configured() -> None:
    found = servers(ONE, TWO)
    for server in (ONE, TWO):
        found.outcome(server, LISTED, NAME, wire.SRV)
    found.use([TWO, THREE])
    assert (outcome(found, TWO), outcome(found, THREE)) == (KNOWN, UNKNOWN)
    found.use([ONE, TWO])
    assert (outcome(found, TWO), outcome(found, ONE)) == (KNOWN, UNKNOWN)


def test_a_failure_shows_nothing_about_its_server() -> None:
    """Although it carries what an answer would show."""
    found = servers(ONE, TWO)
    soa = ("cluster.local. 30 IN SOA ns.cluster.local. host.example. 1 2 3 4 5",)
    assert outcome(found, ONE, reply("SERVFAIL", soa)) == (Outcome.SERVFAIL, "")
    assert outcome(found, ONE) == UNKNOWN
    assert outcome(found, ONE, reply(answer=("x. 30 IN A 10.0.0.9",), rtype="A")) == UNKNOWN_DATA
    assert outcome(found, ONE) == UNKNOWN, "an address shows nothing"


def test_an_alias_of_the_name_shows_that_the_server_has_it() -> None:
    alias = reply(answer=("db.shop.svc.cluster.local. 30 IN CNAME db.example.com.",))
    assert outcome(servers(ONE, TWO), ONE, alias) == (Outcome.NO_DATA, "")


def test_before_a_zone_is_known_every_negative_answer_counts() -> None:
    found = Servers([ONE, TWO])
    assert outcome(found, ONE) == KNOWN
    found.outcome(ONE, LISTED, NAME, wire.SRV)
    found.begin(None)
    found.begin(ZONE)
    assert outcome(found, ONE) == UNKNOWN


def test_a_lookup_begins_with_the_failures_of_the_previous_one() -> None:
    found = servers(ONE)
    found.failed.note((NAME, wire.SRV), Outcome.SERVFAIL)
    assert found.failed.pauses((NAME, wire.SRV), 1) == PAUSES
    found.begin(ZONE)
    assert found.failed.pauses((NAME, wire.SRV), 1) == PAUSES[:1]


# EDNS.


def test_a_server_is_asked_without_edns_for_ten_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    found = servers(ONE, TWO)
    with monkeypatch.context() as context:
        context.setattr(asyncio, "get_running_loop", lambda: _At(now))
        assert not found.is_plain(ONE)
        found.learn_plain(ONE)
        assert (found.is_plain(ONE), found.is_plain(TWO)) == (True, False)
        now += 599.9
        assert found.is_plain(ONE)
        now += 0.1
        assert not found.is_plain(ONE)


class _At:
    """An event loop whose time is given."""

    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        return self._now
