"""Asking the peers: the facts that verdicts on the primary are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from ..model import Peer
from ..names import parse_seconds, reject_text
from ..timing.stalls import TimeLimit
from .verdicts import Probe

__all__ = ["probe_peers"]


async def probe_peers(
    peers: Iterable[Peer], probe: Callable[[Peer], Awaitable[Probe]], *, timeout: float = 2.0
) -> tuple[Probe, ...]:
    """Ask each peer at the same time, and make of every failure a peer that did not answer.

    Args:
        peers: Whom to ask.
        probe: Asks one peer. What it raises is why that peer did not answer.
        timeout: Seconds that each has to answer.

    Returns:
        What was found, in the order of the peers.

    Raises:
        ConfigurationError: The peers are text, or the timeout is no number of seconds above 0.
    """
    reject_text(peers, "peers", "peers, such as those of a snapshot")
    timeout = parse_seconds(timeout, "timeout")

    async def ask(peer: Peer) -> Probe:
        try:
            async with TimeLimit(timeout):
                return await probe(peer)
        except TimeoutError:
            return Probe(peer.unique_name, answered=False, detail=f"no answer within {timeout:g} s")
        except Exception as error:  # noqa: BLE001 - the user's own code; it is told, not hidden
            return Probe(
                peer.unique_name, answered=False, detail=str(error) or type(error).__name__
            )

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(peer)) for peer in peers]
    return tuple(task.result() for task in tasks)
