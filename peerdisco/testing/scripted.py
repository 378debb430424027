"""A source that returns observations from a script, one for each lookup."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Literal, Union

from ..exceptions import ConfigurationError, DiscoveryError, ResolverUnavailable, ResolveTimeout
from ..model import Answered, Attempt, Empty, Failed, Observation, Outcome, Peer, Ports
from ..names import parse_seconds, parse_service

__all__ = ["Entry", "ScriptedSource", "failure", "no_data", "nxdomain", "peers"]

_FIRST_ADDRESS = IPv4Address("10.244.0.3")
_SERVER = "127.0.0.1:53"

Entry = Union[Observation, DiscoveryError, "Callable[[], Entry | Awaitable[Entry]]"]
"""The result of one lookup: an observation, an error (for `Failed`), or a function of either.

The function may be a coroutine function, and wait."""


class ScriptedSource:
    """A `peerdisco.sources.Source` that returns observations from a script, one for each lookup.

    It follows the contract of a source: an error in the script is returned as `Failed` and not
    raised, and a lookup that takes longer than its timeout has failed.

    Args:
        service: ``svc``, ``svc.ns`` or the fully qualified name; the namespace is ``default`` and
            the domain ``cluster.local`` where the name has none.
        script: The results of the lookups, in order.
        at_end: For the lookups after the script: ``repeat`` its last entry, or ``raise`` an
            `AssertionError`.

    Attributes:
        lookups: Number of lookups that have begun.
        closed: Whether `aclose` was called.

    Raises:
        ConfigurationError: The script is empty, or an entry is no observation.
    """

    def __init__(
        self,
        service: str,
        script: Iterable[Entry],
        *,
        at_end: Literal["repeat", "raise"] = "repeat",
    ) -> None:
        name = parse_service(
            service,
            namespace=None if "." in service else "default",
            cluster_domain=None if service.count(".") > 2 else "cluster.local",
        )
        if at_end not in ("repeat", "raise"):
            raise ConfigurationError("at_end", at_end, "'repeat' or 'raise'")
        self._service = name.fqdn
        self._script = [_checked(entry) for entry in script]
        if not self._script:
            raise ConfigurationError("script", [], "one entry or more")
        self._repeats = at_end == "repeat"
        self._position = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.lookups = 0
        self.closed = False

    @property
    def service(self) -> str:
        """The service's fully qualified name, without the trailing dot."""
        return self._service

    def then(self, *entries: Entry) -> None:
        """Append to the script; its former last entry is no longer repeated."""
        checked = [_checked(entry) for entry in entries]
        with self._lock:
            self._script.extend(checked)

    async def observe(self, *, timeout: float) -> Observation:
        """The next entry of the script."""
        with self._lock:
            entry = self._next_entry()
            self.lookups += 1
            reached = [future for lookups, future in self._waiting if lookups <= self.lookups]
            self._waiting = [one for one in self._waiting if one[0] > self.lookups]
        for future in reached:
            # The waiting task may run in another event loop.
            future.get_loop().call_soon_threadsafe(_finish, future)
        try:
            async with asyncio.timeout(timeout) as limit:
                return await _observation(entry)
        except TimeoutError:
            if not limit.expired():
                raise
            return Failed(ResolveTimeout(self._service, (), timeout))

    def _next_entry(self) -> Entry:
        if self._position < len(self._script):
            self._position += 1
        elif not self._repeats:
            raise AssertionError(
                f"lookup {self.lookups + 1} of {self._service}: the script has {len(self._script)} "
                "entries, and at_end is 'raise'"
            )
        return self._script[self._position - 1]

    async def wait_for_lookups(self, count: int) -> None:
        """Wait until this many lookups have begun since the source was created."""
        with self._lock:
            if self.lookups >= count:
                return
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((count, future))
        try:
            await future
        finally:
            with self._lock:
                self._waiting = [one for one in self._waiting if one[1] is not future]

    async def aclose(self) -> None:
        """Set ``closed``."""
        self.closed = True


def peers(
    statefulset: str = "mysql",
    ordinals: int | Iterable[int] = 3,
    *,
    service: str = "my-database",
    namespace: str = "default",
    cluster_domain: str = "cluster.local",
    ports: int | Mapping[str, int] = 3306,
    addresses: Mapping[int, str] | None = None,
    ready: bool | None = None,
    ttl: float = 5.0,
    incomplete_reason: str | None = None,
) -> Answered:
    """A lookup that found these pods of a StatefulSet.

    Args:
        statefulset: The name of the StatefulSet.
        ordinals: The number of pods, or their ordinals.
        service: The name of the service, without its namespace.
        namespace: The namespace of the service.
        cluster_domain: The DNS domain of the cluster.
        ports: The pods' ports: a number, or a mapping of names to numbers.
        addresses: Addresses by ordinal, for pods that were restarted. The others have 10.244.0.3
            plus their ordinal.
        ready: Whether the pods are ready; None as in DNS, which does not say it.
        ttl: The TTL of the answer in seconds.
        incomplete_reason: Why the list may lack pods; None if it is complete.
    """
    ttl = parse_seconds(ttl, "ttl", zero=True)
    known = Ports({"": ports} if isinstance(ports, int) else ports)
    domain = f"{service}.{namespace}.svc.{cluster_domain}"
    given = addresses or {}
    found = tuple(
        Peer(
            f"{statefulset}-{ordinal}",
            ordinal,
            statefulset,
            f"{statefulset}-{ordinal}.{domain}",
            (ip_address(given[ordinal]) if ordinal in given else _FIRST_ADDRESS + ordinal,),
            known,
            ready,
        )
        for ordinal in (range(ordinals) if isinstance(ordinals, int) else ordinals)
    )
    return Answered(found, ttl, incomplete_reason)


def nxdomain(ttl: float | None = 5.0) -> Empty:
    """A lookup that was answered NXDOMAIN: no such service, or none of its pods is ready."""
    return Empty(Outcome.NXDOMAIN, _negative_ttl(ttl))


def no_data(ttl: float | None = 5.0) -> Empty:
    """A lookup that was answered without records."""
    return Empty(Outcome.NO_DATA, _negative_ttl(ttl))


def failure(
    outcome: Outcome = Outcome.SERVFAIL,
    *,
    name: str = "my-database.default.svc.cluster.local",
    seconds: float = 0.001,
) -> Failed:
    """A lookup that failed.

    Args:
        outcome: The outcome of its only attempt.
        name: The name in the question.
        seconds: The duration of the attempt.
    """
    seconds = parse_seconds(seconds, "seconds", zero=True)
    attempt = Attempt(_SERVER, "udp", f"{name}.", "SRV", outcome, seconds)
    if outcome is Outcome.TIMEOUT:
        return Failed(ResolveTimeout(name, (attempt,), seconds))
    return Failed(ResolverUnavailable(name, (attempt,)))


def _negative_ttl(ttl: float | None) -> float | None:
    return None if ttl is None else parse_seconds(ttl, "ttl", zero=True)


def _checked(entry: Entry) -> Entry:
    if not (isinstance(entry, Answered | Empty | Failed | DiscoveryError) or callable(entry)):
        raise ConfigurationError(
            "script entry", entry, "an observation, a DiscoveryError or a function that returns one"
        )
    return entry


async def _observation(entry: Entry) -> Observation:
    while callable(entry):
        given = entry()
        entry = _checked(await given if inspect.isawaitable(given) else given)
    return Failed(entry) if isinstance(entry, DiscoveryError) else entry


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():  # else the waiting task was cancelled
        future.set_result(None)
