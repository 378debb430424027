"""The testing DNS against the recorded answers of a real CoreDNS, byte by byte."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import pytest
from dns.message import Message

from peerdisco.testing import ClusterDNS
from peerdisco.testing.answers import Zone, shuffled
from peerdisco.testing.rendering import render, udp_limits

from .asking import exchange_tcp, exchange_udp
from .recordings import VECTORS, Exchange, Recording, load, paths

NOT_REPLAYED = {
    "endpointslice-list-watch": "a list and a watch of the Kubernetes API; no DNS messages in it",
    "stale-nxdomain": "what a cache served; tests/recordings/test_stale.py reads it",
}


def by_scenario(path: Path) -> str:
    return path.stem


def test_every_recording_is_replayed_or_named() -> None:
    replayed = {path.stem for path in paths()}
    assert {path.stem for path in VECTORS.glob("*.json")} == replayed | NOT_REPLAYED.keys()
    assert sum(len(load(path).exchanges) for path in paths()) == 628


def as_recorded(exchange: Exchange) -> dict[object, int]:
    """The place of each record in the recorded answer."""
    response = exchange.response
    return {
        (record.name, record[0]): place
        for place, record in enumerate([*response.answer, *response.additional])
    }


def replay(recording: Recording, exchange: Exchange) -> bytes:
    """The testing DNS's answer, shuffled and with the serial as in the recording."""
    query = dns.message.from_wire(exchange.query)
    places = as_recorded(exchange)
    response = shuffled(
        Zone(recording.state(exchange)).answer(query),
        lambda records: records.sort(key=lambda r: places.get((r.name, r[0]), len(places))),
    )
    return render(response, *(udp_limits(query) if exchange.transport == "udp" else ()))


@pytest.mark.parametrize("path", paths(), ids=by_scenario)
def test_the_same_bytes(path: Path) -> None:
    recording = load(path)
    assert recording.exchanges
    different = [
        f"{exchange}:\n{dns.message.from_wire(given)}\nrecorded:\n{exchange.response}"
        for exchange in recording.exchanges
        if (given := replay(recording, exchange)) != exchange.answer
    ]
    assert not different, "\n\n".join(different[:3])


def records(section: list[object], serial: bool = False) -> Counter[str]:
    """Records as text, an SOA without its serial."""
    found: Counter[str] = Counter()
    for record in section:
        text = record.to_text()  # type: ignore[attr-defined]
        if record.rdtype == dns.rdatatype.SOA:  # type: ignore[attr-defined]
            text = text.replace(str(record[0].serial), "SERIAL")  # type: ignore[index]
        found[text] += 1
    return found


def assert_alike(given: Message, recorded: Message, whole: Message) -> None:
    assert given.id == recorded.id
    assert given.flags == recorded.flags
    assert given.rcode() == recorded.rcode()
    assert not given.flags & dns.flags.RA
    assert given.question == recorded.question
    assert (given.edns, given.payload, given.ednsflags) == (
        recorded.edns,
        recorded.payload,
        recorded.ednsflags,
    )
    for section in (1, 2, 3):
        ours, theirs = records(given.sections[section]), records(recorded.sections[section])
        if recorded.flags & dns.flags.TC:
            # Far into a message a host name is spelled out, so chance decides how many fit.
            leeway = 1 if section == 3 else 0
            assert abs(ours.total() - theirs.total()) <= leeway
            assert theirs <= records(whole.sections[section])
            assert ours <= records(whole.sections[section])
        else:
            assert ours == theirs


def sample(path: Path) -> list[Exchange]:
    """Of each question to one of the recorded servers, over each transport."""
    return [exchange for exchange in load(path).exchanges if exchange.server == "nocache"]


@pytest.mark.parametrize("path", paths(), ids=by_scenario)
async def test_over_sockets(path: Path) -> None:
    recording = load(path)
    for exchange in sample(path):
        cluster = recording.cluster(exchange)
        whole = Zone(cluster.state()).answer(dns.message.from_wire(exchange.query))
        send = exchange_udp if exchange.transport == "udp" else exchange_tcp
        async with ClusterDNS(cluster) as server:
            wire = await send(server, exchange.query)
        given = dns.message.from_wire(wire, one_rr_per_rrset=True)
        assert_alike(given, exchange.response, whole)
        if not given.flags & dns.flags.TC:
            assert len(wire) == len(exchange.answer)
