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
    """A name server for a small cluster that you control.

    ``async with ClusterDNS() as dns:`` serves in the running event loop; ``with ClusterDNS() as
    dns:`` serves on a thread of its own, for blocking code and other processes. In both cases, any
    thread may call its methods, and they take effect with the next question.

    Args:
        cluster: The cluster; by default a new one. With the ``cluster`` of another server, both
            share it, and one of them can be frozen or broken.
        host: ``127.0.0.1`` or ``::1``.
        port: The port; 0 for a free one.
        cluster_domain: The domain of a new cluster.
        ttl: The TTL of the records of a new cluster; 5 s as in CoreDNS.
        pods: For a new cluster: ``disabled``, or ``insecure`` to answer every name like
            ``10-244-0-3.default.pod.cluster.local`` with the address in it.
        idle_timeout: Seconds after which an idle TCP connection is closed.
        shuffle: Shuffles the addresses of each answer in place, as the ``loadbalance`` plugin
            does; by default at random with a fixed seed.
        clock: A monotonic clock in seconds, for `caches`.
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
        """Stop the server, however it was started; a second call does nothing."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.aclose()
            self._port = None
        self.close()

    def close(self) -> None:
        """Stop a server that was started with ``with``; a second call does nothing.

        Raises:
            RuntimeError: It was started with ``async with``: await `aclose`.
        """
        if self._listener is not None:
            raise RuntimeError(
                "a server started with 'async with' is stopped with 'await aclose()'"
            )
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
            raise RuntimeError("the server is already running")

    def _react(self, wire: bytes, transport: Transport) -> Reaction:
        return self._responder.react(wire, transport, self._clock())

    # --- its address

    @property
    def host(self) -> str:
        return self._host

    @property
    def port(self) -> int:
        """The port, of UDP and of TCP.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._port is None:
            raise RuntimeError("the server is not running: use it in 'with' or 'async with'")
        return self._port

    @property
    def nameserver(self) -> str:
        """``127.0.0.1:PORT`` or ``[::1]:PORT``, as peerdisco expects it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make peerdisco query this server, in the namespace ``default``."""
        return {
            "PEERDISCO_NAMESERVERS": self.nameserver,
            "PEERDISCO_CLUSTER_DOMAIN": self.cluster.cluster_domain,
            "POD_NAMESPACE": "default",
        }

    # --- the questions

    @property
    def queries(self) -> list[Query]:
        """Every question received, in order, including those that were not answered."""
        return self._responder.queries

    def clear_queries(self) -> None:
        """Clear `queries`."""
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

    # --- faults

    def fail(
        self,
        kind: FaultKind,
        transport: Transport | None = None,
        name: NamePredicate | None = None,
        rtype: str | None = None,
        times: int | None = None,
    ) -> Fault:
        """Answer wrongly from now on.

        Args:
            kind: How the answers are wrong; see `FaultKind`.
            transport: Only over ``udp`` or ``tcp``.
            name: Only these names: a name with the wildcards ``*`` and ``?``, or a function of
                the name in lower case without the trailing dot.
            rtype: Only this record type.
            times: Only this many questions.

        Returns:
            The fault: ``remove()`` or the end of a ``with`` block ends it.
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

        Over TCP, later questions on the same connection wait too.
        """
        return self._responder.faults.add(
            Fault(None, seconds, transport=transport, name=name, rtype=rtype, times=times)
        )

    def freeze(self) -> None:
        """Keep answering with the current membership, as a CoreDNS that lost the API does."""
        self._responder.freeze()

    def thaw(self) -> None:
        """Follow the membership again."""
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

        An answer is kept for ``ttl`` seconds, but not longer than the TTL of its records: for 30
        seconds, use ``ClusterDNS(ttl=30)`` and ``caches(30)``. SERVFAIL is kept for five seconds.

        Args:
            ttl: 5 s or more, the least that CoreDNS keeps.
            clock: A clock to use instead of the server's.
            serve_stale: ``immediate`` or ``verify``: an expired answer is served with TTL 0, at
                once or if the cluster DNS fails; see `cut_off`. None for never.
            stale_for: Seconds for which an expired answer is served.
        """
        self._responder.caches(AnswerCache(ttl, serve_stale, stale_for), clock)

    def cut_off(self) -> None:
        """Disconnect the cache from the cluster DNS: other questions are answered with SERVFAIL."""
        self._responder.cut_off(True)

    def reconnect(self) -> None:
        """Connect the cache to the cluster DNS again."""
        self._responder.cut_off(False)

    def restore(self) -> None:
        """End all faults and delays, `freeze`, `cut_off` and the cache."""
        self._responder.restore()


def _nothing() -> None:
    pass
