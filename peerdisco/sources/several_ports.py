"""Several named ports of one service: one lookup for each, and the peers of all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from ..model import Answered, Attempt, Empty, Failed, Observation, Peer, Ports
from .headless_dns import HeadlessDNS

__all__ = ["SeveralPorts"]

_log = logging.getLogger(__name__)


class SeveralPorts:
    """Looks up each named port of a service, and joins the answers.

    The lookups run at the same time, each with connections of its own. If one of them fails, the
    whole lookup has failed: its peers would be unknown.

    Args:
        lookups: The source of each port; one or more, of the same service.
    """

    def __init__(self, lookups: Sequence[HeadlessDNS]) -> None:
        self._lookups = lookups
        self._joined: tuple[tuple[tuple[Peer, ...], ...], tuple[Peer, ...]] = ((), ())
        """The peers of the last answers, and the same ones joined."""
        self._absent: set[str] = set()
        """The ports that no peer had in the last lookup."""

    @property
    def service(self) -> str:
        return self._lookups[0].service

    async def aclose(self) -> None:
        """Close the kept connections."""
        async with AsyncExitStack() as stack:  # closes each, even if this is cancelled
            for lookup in self._lookups:
                stack.push_async_callback(lookup.aclose)

    async def observe(self, *, timeout: float) -> Observation:
        """Look up every port once; see `peerdisco.sources.Source`."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.observe(timeout=timeout)) for one in self._lookups]
        observations = [task.result() for task in tasks]
        for observation in observations:
            if isinstance(observation, Failed):
                return observation
        answers = [one for one in observations if isinstance(one, Answered)]
        if not answers:
            return observations[0]
        self._log_absent(observations)
        reasons = dict.fromkeys(one.incomplete_reason for one in answers if one.incomplete_reason)
        return Answered(
            self._join(tuple(answer.peers for answer in answers)),
            min(answer.ttl for answer in answers),
            "; ".join(reasons) or None,
            answers[0].attempt,
            tuple(attempt for one in observations for attempt in _attempts(one)),
        )

    def _log_absent(self, observations: Sequence[Observation]) -> None:
        """Log each port that no peer has, when this begins: its name may be misspelt."""
        pairs = zip(self._lookups, observations, strict=True)
        absent = {lookup.port_name or "" for lookup, found in pairs if isinstance(found, Empty)}
        for name in sorted(absent - self._absent):
            _log.warning(
                "%s: no peer has a port named %r; check the name and the protocol",
                self.service,
                name,
            )
        self._absent = absent

    def _join(self, lists: tuple[tuple[Peer, ...], ...]) -> tuple[Peer, ...]:
        """The peers of all lists; the same tuple again while the lists are the same ones."""
        if len(lists) == len(self._joined[0]) and all(
            new is old for new, old in zip(lists, self._joined[0], strict=True)
        ):
            return self._joined[1]
        joined: dict[str, Peer] = {}
        for peer in (peer for peers in lists for peer in peers):
            known = joined.get(peer.unique_name)
            joined[peer.unique_name] = peer if known is None else _both(known, peer)
        self._joined = (lists, tuple(joined.values()))
        return self._joined[1]


def _attempts(found: Observation) -> tuple[Attempt, ...]:
    return () if isinstance(found, Failed) else found.attempts


def _both(one: Peer, other: Peer) -> Peer:
    """A peer with the addresses and the ports of two answers."""
    addresses = {*one.addresses, *other.addresses}
    in_order = tuple(sorted(addresses, key=lambda ip: (ip.version, int(ip))))
    return replace(one, addresses=in_order, ports=Ports({**one.ports, **other.ports}))
