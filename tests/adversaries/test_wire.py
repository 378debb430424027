"""Whatever a name server sends: no false list, no timeout that is exceeded, nothing held up."""

from __future__ import annotations

import asyncio

import pytest

import peerdisco
import peerdisco.sources.headless_dns  # or the first lookup holds the event loop to import it
import peerdisco.sources.once
from peerdisco.exceptions import DiscoveryError
from tests.unit.scripted import Asked, NameServer, Serve

from .bounds import bounded
from .wire import ADVERSARIES, SERVICE, TIMEOUT, TRUTH, Adversary, honest

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.fixture(params=ADVERSARIES)
def adversary(request: pytest.FixtureRequest) -> Adversary:
    return ADVERSARIES[request.param]


def addresses(snapshot: peerdisco.Snapshot) -> dict[str, str]:
    return {peer.name: str(peer.addresses[0]) for peer in snapshot if peer.addresses}


async def start(serve: Serve, adversary: Adversary, *, honest_at_first: bool = False) -> NameServer:
    """The adversary's server, which may tell the truth until its `script` is set again."""

    def attack(asked: Asked) -> None:
        adversary.script(asked, server)

    server: NameServer = await serve(attack)
    if honest_at_first:
        server.script = lambda asked: asked.send(honest(asked))
    return server


async def test_one_lookup(serve: Serve, adversary: Adversary) -> None:
    server = await start(serve, adversary)
    found, complaint = None, ""
    async with bounded(TIMEOUT):
        try:
            found = await peerdisco.discover(
                SERVICE, nameservers=[str(server.endpoint)], source="dns", timeout=TIMEOUT
            )
        except DiscoveryError as error:
            complaint = str(error)
    assert complaint.isprintable(), "one line"
    if found is not None:
        assert addresses(found).items() <= TRUTH.items(), "nothing of the lie"
        assert not found.complete or addresses(found) == TRUTH
    if adversary.found:
        assert found is not None
        assert found.complete


async def test_a_watcher(serve: Serve, adversary: Adversary) -> None:
    """What it knows already is neither taken away nor replaced."""
    server = await start(serve, adversary, honest_at_first=True)
    changes: list[peerdisco.Change] = []

    async def watch() -> None:
        async for change in disco.watch():
            changes.append(change)  # noqa: PERF401 - it is cancelled in between

    async with peerdisco.Discovery(
        SERVICE,
        nameservers=[str(server.endpoint)],
        source="dns",
        timeout=TIMEOUT,
        interval=0.05,
        min_interval=0.02,
    ) as disco:
        await disco.wait(3, timeout=10)
        watching = asyncio.create_task(watch())
        server.script = lambda asked: adversary.script(asked, server)
        async with bounded(0.3):
            await asyncio.sleep(0.3)
        watching.cancel()
        await asyncio.wait({watching})
        assert addresses(disco.snapshot) == TRUTH
    assert not [change for change in changes if change.left or change.replaced]
    assert [len(change.joined) for change in changes if change.joined] == [3]
