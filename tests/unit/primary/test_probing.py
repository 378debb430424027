"""Asking the peers: all at once, and every failure is a peer that did not answer."""

from __future__ import annotations

import asyncio

import pytest

from peerdisco.model import Peer
from peerdisco.primary.probing import probe_peers
from peerdisco.primary.verdicts import Probe

from ..test_model import snapshot

PEERS = snapshot("db-0 db-1 db-2").peers


async def test_what_is_found_stands_in_the_order_of_the_peers() -> None:
    async def probe(peer: Peer) -> Probe:
        for _ in range(3 - (peer.ordinal or 0)):
            await asyncio.sleep(0)
        return Probe(peer.name, answered=True, holds_data=peer.ordinal == 1)

    found = await probe_peers(PEERS, probe)
    assert [(probe.peer, probe.holds_data) for probe in found] == [
        ("db-0", False),
        ("db-1", True),
        ("db-2", False),
    ]


async def test_all_are_asked_at_once() -> None:
    together = asyncio.Barrier(len(PEERS))

    async def probe(peer: Peer) -> Probe:
        await together.wait()
        return Probe(peer.name, answered=True)

    assert all(probe.answered for probe in await probe_peers(PEERS, probe, timeout=30))


async def test_a_probe_that_fails_is_a_peer_that_did_not_answer() -> None:
    async def probe(peer: Peer) -> Probe:
        if peer.ordinal == 0:
            raise ConnectionRefusedError("nobody listens")
        if peer.ordinal == 1:
            raise KeyError
        return Probe(peer.name, answered=True)

    found = await probe_peers(PEERS, probe)
    assert [(probe.answered, probe.detail) for probe in found] == [
        (False, "nobody listens"),
        (False, "KeyError"),
        (True, ""),
    ]


async def test_a_probe_that_takes_too_long_is_given_up() -> None:
    async def probe(peer: Peer) -> Probe:
        await asyncio.Event().wait()
        raise AssertionError

    found = await probe_peers(PEERS[:1], probe, timeout=0.01)
    assert found == (Probe("db-0", answered=False, detail="no answer within 0.01 s"),)


async def test_cancelling_ends_every_probe() -> None:
    ended = []

    async def probe(peer: Peer) -> Probe:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(peer.name)
        raise AssertionError

    asking = asyncio.create_task(probe_peers(PEERS, probe, timeout=30))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sorted(ended) == ["db-0", "db-1", "db-2"]
