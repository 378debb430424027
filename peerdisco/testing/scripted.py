"""A source that sees what it is told to see, look by look."""

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
"""What one look comes to: an observation, an error (for `Failed`), or a function that gives one.

The function may be a coroutine function, and wait."""


class ScriptedSource:
    """A `peerdisco.sources.Source` that gives the observations of a script, one a look.

    It looks at nothing, and keeps to the contract of a source: it raises nothing for what a script
    says went wrong, and a look that takes longer than its timeout is a failed one.

    Args:
        service: ``svc``, ``svc.ns`` or the whole name; ``default`` and ``cluster.local`` are filled
            in.
        script: What the looks come to.
        at_end: What the looks after the script come to: ``repeat`` its last entry, or ``raise``
            an `AssertionError`.

    Attributes:
        looks: How many looks were begun.
        closed: Whether `aclose` was called.

    Raises:
        ConfigurationError: The script is empty, or holds what cannot be observed.
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
        """Append to the script; what was repeated at its end is repeated no more."""
        checked = [_checked(entry) for entry in entries]
        with self._lock:
            self._script.extend(checked)

    async def observe(self, *, timeout: float) -> Observation:
        """What the script says of this look."""
        with self._lock:
            entry = self._next_entry()
            self.lookups += 1
            reached = [future for lookups, future in self._waiting if lookups <= self.lookups]
            self._waiting = [one for one in self._waiting if one[0] > self.lookups]
        for future in reached:
            # The one who waits may live in another loop.
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
                "entries, and shall not be repeated"
            )
        return self._script[self._position - 1]

    async def looked(self, lookups: int) -> None:
        """Wait until so many looks were begun, since the source was made."""
        with self._lock:
            if self.lookups >= lookups:
                return
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((lookups, future))
        try:
            await future
        finally:
            with self._lock:
                self._waiting = [one for one in self._waiting if one[1] is not future]

    async def aclose(self) -> None:
        """Note that it was closed."""
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
    """A look that found these pods of a StatefulSet.

    Args:
        statefulset: Its name.
        ordinals: How many pods there are, or which.
        service: The service's own name.
        namespace: Its namespace.
        cluster_domain: The cluster's domain.
        ports: The pods' ports: a number, or name to number.
        addresses: Ordinal to address, for pods with another than 10.244.0.3 and so on, by
            ordinal: a pod that came back.
        ready: Their condition; DNS cannot tell.
        ttl: Of the answer.
        incomplete_reason: Why there may be more; None if these are all.
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
    """A look that was answered NXDOMAIN: no such service, or none of its pods is ready."""
    return Empty(Outcome.NXDOMAIN, _negative_ttl(ttl))


def no_data(ttl: float | None = 5.0) -> Empty:
    """A look that was answered without records."""
    return Empty(Outcome.NO_DATA, _negative_ttl(ttl))


def failure(
    outcome: Outcome = Outcome.SERVFAIL,
    *,
    name: str = "my-database.default.svc.cluster.local",
    seconds: float = 0.001,
) -> Failed:
    """A look that was not answered.

    Args:
        outcome: What became of its one attempt.
        name: What was asked for.
        seconds: How long it took.
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
            "script entry", entry, "an observation, a DiscoveryError or a function that gives one"
        )
    return entry


async def _observation(entry: Entry) -> Observation:
    while callable(entry):
        given = entry()
        entry = _checked(await given if inspect.isawaitable(given) else given)
    return Failed(entry) if isinstance(entry, DiscoveryError) else entry


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():  # else the one who waited has given up
        future.set_result(None)
