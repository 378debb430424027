"""A cluster DNS on loopback: a real server over UDP and TCP that answers as CoreDNS does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from ..names import parse_seconds
from .answers import Shuffle
from .cache import AnswerCache, ServeStale
from .cluster import Cluster, ManualEndpoint
from .faults import Fault, FaultKind, NamePredicate, Query, Transport
from .listener import Listener
from .responder import Reaction, Responder
from .state import DEFAULT_PORT, IPAddress, PodRecords, Ports, Service
from .statefulset import StatefulSet

__all__ = ["ClusterDNS"]


class ClusterDNS:
    """A name server for a little cluster that you change as you like.

    ``async with ClusterDNS() as dns:`` serves in the running event loop; ``with ClusterDNS() as
    dns:`` serves on a thread of its own, for code that blocks and for other processes. Either way
    every method may be called on any thread, and takes effect with the next question.

    Args:
        cluster: What it answers about; by default a new one. Give another server's ``cluster`` to
            have two that share it, of which one can be frozen or broken.
        host: ``127.0.0.1`` or ``::1``.
        port: 0 for one that is free.
        cluster_domain: Of a new cluster; ``cluster.local`` by default.
        ttl: Of a new cluster's records; 5 s by default, as in CoreDNS.
        pods: Of a new cluster: ``disabled``, or ``insecure`` to answer every name like
            ``10-244-0-3.default.pod.cluster.local`` with the address in it.
        idle_timeout: After how many silent seconds a TCP connection is closed.
        shuffle: Reorders the addresses of each answer in place, as the ``loadbalance`` plugin. By
            default by chance, with a fixed seed.
        clock: Seconds that never go back; only `caches` looks at it.
    """

    def __init__(
        self,
        cluster: Cluster | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cluster_domain: str = "cluster.local",
        ttl: int = 5,
        pods: PodRecords = "disabled",
        idle_timeout: float = 10.0,
        shuffle: Shuffle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = Cluster(cluster_domain, ttl, pods) if cluster is None else cluster
        self._host = host
        self._asked_port = port
        self._idle_timeout = parse_seconds(idle_timeout, "idle_timeout")
        self._clock = clock
        self._responder = Responder(
            self.cluster,
            shuffle or random.Random(0).shuffle,  # noqa: S311 - no secret is made of it
            6 if ":" in host else 4,
        )
        self._port: int | None = None
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = _nothing

    # --- running

    async def __aenter__(self) -> Self:
        self._refuse_twice()
        self._listener = Listener(self._react, self._idle_timeout)
        self._port = await self._listener.open(self._host, self._asked_port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._refuse_twice()
        opened: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve_until_stopped(opened)),
            name="peerdisco-cluster-dns",
            daemon=True,
        )
        self._thread.start()
        try:
            self._port = opened.result()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve_until_stopped(self, opened: concurrent.futures.Future[int]) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        listener = Listener(self._react, self._idle_timeout)
        try:
            port = await listener.open(self._host, self._asked_port)
        except BaseException as error:  # noqa: BLE001 - it is raised where the thread was started
            opened.set_exception(error)
            return
        opened.set_result(port)
        try:
            await stopped.wait()
        finally:
            await listener.aclose()

    async def aclose(self) -> None:
        """End the server, however it was started; a second call does nothing."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.aclose()
            self._port = None
        self.close()

    def close(self) -> None:
        """End a server that was started with ``with``; a second call does nothing.

        Raises:
            RuntimeError: It was started with ``async with``: await `aclose`.
        """
        if self._listener is not None:
            raise RuntimeError("a server started with 'async with' is ended with 'await aclose()'")
        thread, self._thread = self._thread, None
        if thread is None:
            return
        stop, self._stop = self._stop, _nothing
        if thread.is_alive():
            stop()
        thread.join()
        self._port = None

    def _refuse_twice(self) -> None:
        if self._listener is not None or self._thread is not None:
            raise RuntimeError("the server is running already")

    def _react(self, wire: bytes, transport: Transport) -> Reaction:
        return self._responder.react(wire, transport, self._clock())

    # --- where it is

    @property
    def host(self) -> str:
        return self._host

    @property
    def port(self) -> int:
        """The port, of UDP and of TCP.

        Raises:
            RuntimeError: The server does not run.
        """
        if self._port is None:
            raise RuntimeError("the server does not run: use it in 'with' or 'async with'")
        return self._port

    @property
    def nameserver(self) -> str:
        """``127.0.0.1:PORT`` or ``[::1]:PORT``, as peerdisco takes it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make peerdisco ask this server, in the namespace ``default``."""
        return {
            "PEERDISCO_NAMESERVERS": self.nameserver,
            "PEERDISCO_CLUSTER_DOMAIN": self.cluster.cluster_domain,
            "POD_NAMESPACE": "default",
        }

    # --- what is asked of it

    @property
    def queries(self) -> list[Query]:
        """Every question that was asked, in order; those that were not answered too."""
        return self._responder.queries

    def clear_queries(self) -> None:
        """Forget the questions that were asked."""
        self._responder.clear_queries()

    # --- the cluster

    def statefulset(
        self,
        name: str,
        service: str,
        replicas: int = 3,
        namespace: str = "default",
        *,
        ports: Ports | None = None,
        first_ordinal: int = 0,
        ready: bool = True,
        families: Sequence[str] = ("ipv4",),
        publish_not_ready_addresses: bool | None = None,
        governing_service: str | None = None,
        cluster: str | None = None,
    ) -> StatefulSet:
        """See `Cluster.statefulset`."""
        return self.cluster.statefulset(
            name,
            service,
            replicas,
            namespace,
            ports=ports,
            first_ordinal=first_ordinal,
            ready=ready,
            families=families,
            publish_not_ready_addresses=publish_not_ready_addresses,
            governing_service=governing_service,
            cluster=cluster,
        )

    def service(
        self,
        name: str,
        namespace: str = "default",
        ports: Ports = DEFAULT_PORT,
        publish_not_ready_addresses: bool = False,
    ) -> Service:
        """See `Cluster.service`."""
        return self.cluster.service(name, namespace, ports, publish_not_ready_addresses)

    def endpoint(
        self,
        service: str,
        hostname: str | None = None,
        addresses: Iterable[str | IPAddress] | None = None,
        ready: bool = True,
        ports: Ports | None = None,
        namespace: str = "default",
        *,
        cluster: str | None = None,
    ) -> ManualEndpoint:
        """See `Cluster.endpoint`."""
        return self.cluster.endpoint(
            service, hostname, addresses, ready, ports, namespace, cluster=cluster
        )

    # --- what goes wrong

    def fail(
        self,
        kind: FaultKind,
        transport: Transport | None = None,
        name: NamePredicate | None = None,
        rtype: str | None = None,
        times: int | None = None,
    ) -> Fault:
        """Answer wrongly from now on; see `FaultKind` for how.

        Args:
            kind: How.
            transport: Only over ``udp`` or ``tcp``.
            name: Only these names: one with ``*`` and ``?`` as in file names, or a function of
                the name in lower case without the trailing dot.
            rtype: Only this record type.
            times: Only so often.

        Returns:
            The fault: ``remove()`` ends it, and so does the end of a ``with`` block over it.
        """
        return self._responder.faults.add(
            Fault(kind, transport=transport, name=name, rtype=rtype, times=times)
        )

    def delay(
        self,
        seconds: float,
        transport: Transport | None = None,
        name: NamePredicate | None = None,
        rtype: str | None = None,
        times: int | None = None,
    ) -> Fault:
        """Answer late from now on; the arguments are those of `fail`.

        Over TCP what was asked later on the same connection waits too.
        """
        return self._responder.faults.add(
            Fault(None, seconds, transport=transport, name=name, rtype=rtype, times=times)
        )

    def freeze(self) -> None:
        """Go on answering the membership as it is now, as a CoreDNS that lost the API does."""
        self._responder.freeze()

    def thaw(self) -> None:
        """Answer the true membership again."""
        self._responder.thaw()

    def caches(
        self,
        ttl: int,
        clock: Callable[[], float] | None = None,
        *,
        serve_stale: ServeStale | None = None,
        stale_for: float = 3600.0,
    ) -> None:
        """Answer through a cache whose TTLs count down, as kubeadm set it up before 1.32.

        An answer is kept for ``ttl`` seconds, or for the records' own TTL where that is less, as
        it is by default; ``ClusterDNS(ttl=30)`` and ``caches(30)`` go together. SERVFAIL is kept
        for five seconds.

        Args:
            ttl: 5 s or more, the least that CoreDNS keeps.
            clock: Instead of the server's.
            serve_stale: ``immediate`` or ``verify``: an expired answer is served with TTL 0, at
                once or if the cluster DNS fails; see `cut_off`. None for never.
            stale_for: Seconds for which an expired answer is served.
        """
        self._responder.caches(AnswerCache(ttl, serve_stale, stale_for), clock)

    def cut_off(self) -> None:
        """Lose the cluster DNS behind this server: what its cache does not hold is SERVFAIL."""
        self._responder.cut_off(True)

    def reconnect(self) -> None:
        """Reach the cluster DNS behind this server again."""
        self._responder.cut_off(False)

    def restore(self) -> None:
        """End everything that goes wrong: faults, delays, `freeze`, `cut_off` and the cache."""
        self._responder.restore()


def _nothing() -> None:
    pass
