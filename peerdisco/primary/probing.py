"""Probe the peers for the facts that verdicts on the primary need."""

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
    """Probe all peers at the same time; a failure counts as a peer that did not answer.

    Args:
        peers: The peers to probe.
        probe: Probes one peer. An exception becomes the probe's detail, with ``answered=False``.
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
        except Exception as error:  # noqa: BLE001 - the user's own code; reported in the probe
            return Probe(
                peer.unique_name, answered=False, detail=str(error) or type(error).__name__
            )

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(peer)) for peer in peers]
    return tuple(task.result() for task in tasks)
