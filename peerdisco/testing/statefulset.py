"""A StatefulSet in the testing cluster: pods with stable names and changing addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from ..exceptions import ConfigurationError
from .state import Endpoint, IPAddress, Pod, Ports, Service, ServicePort, check_label

__all__ = ["StatefulSet"]


class _Cluster(Protocol):
    """The part of `Cluster` that a StatefulSet uses."""

    @property
    def cluster_domain(self) -> str: ...

    def changing(self) -> AbstractContextManager[None]: ...

    def unchanged(self) -> AbstractContextManager[None]: ...

    def new_addresses(self, families: Sequence[str]) -> tuple[IPAddress, ...]: ...

    def put_behind(
        self, name: str, namespace: str, provider: StatefulSet, ports: Ports | None = None
    ) -> Service: ...

    def take_away(self, provider: StatefulSet) -> None: ...


class StatefulSet:
    """A StatefulSet, made by `Cluster.statefulset`; any thread may call its methods.

    No pod is restarted or becomes ready unless a method is called. A new pod is ready at once,
    unless the StatefulSet was created with ``ready=False``.
    """

    def __init__(
        self,
        cluster: _Cluster,
        name: str,
        namespace: str,
        governing_service: str,
        families: Sequence[str],
        first_ordinal: int,
        ready: bool,
        ports: tuple[ServicePort, ...] | None,
        in_cluster: str | None = None,
    ) -> None:
        if first_ordinal < 0:
            raise ConfigurationError("first_ordinal", first_ordinal, "0 or more")
        self._cluster = cluster
        self.name = name
        self.namespace = namespace
        self.governing_service = governing_service
        self.first_ordinal = first_ordinal
        self._families = tuple(families)
        self._ready = ready
        self._ports = ports
        self._in_cluster = in_cluster
        self._pods: dict[int, Pod | None] = {}  # None: stopped

    @property
    def replicas(self) -> int:
        """``spec.replicas``: the number of pods, including stopped ones."""
        return len(self._pods)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that exist, by ordinal."""
        with self._cluster.unchanged():
            return tuple(pod for _, pod in sorted(self._pods.items()) if pod is not None)

    @property
    def pod_names(self) -> tuple[str, ...]:
        """The names of the pods that exist, by ordinal."""
        return tuple(pod.name for pod in self.pods)

    def pod(self, ordinal: int) -> Pod:
        """The pod with this ordinal.

        Raises:
            ConfigurationError: There is no such pod, or it is stopped.
        """
        pod = self._wanted(ordinal)
        if pod is None:
            raise ConfigurationError("ordinal", ordinal, "one that is not stopped")
        return pod

    def scale(self, replicas: int) -> None:
        """Set the number of pods; they are added and removed at the highest ordinals."""
        if replicas < 0:
            raise ConfigurationError("replicas", replicas, "0 or more")
        with self._cluster.changing():
            wanted = range(self.first_ordinal, self.first_ordinal + replicas)
            for ordinal in [ordinal for ordinal in self._pods if ordinal not in wanted]:
                del self._pods[ordinal]
            for ordinal in wanted:
                if ordinal not in self._pods:
                    self._pods[ordinal] = self._new_pod(ordinal)

    def restart(self, ordinal: int) -> Pod:
        """Replace a pod: the name stays, the address is new."""
        with self._cluster.changing():
            self.pod(ordinal)
            return self._create(ordinal)

    def stop(self, ordinal: int) -> None:
        """Remove a pod: the ordinals have a hole until `start` or a scale-down."""
        with self._cluster.changing():
            self.pod(ordinal)
            self._pods[ordinal] = None

    def start(self, ordinal: int) -> Pod:
        """Bring a stopped pod back, with a new address."""
        with self._cluster.changing():
            if self._wanted(ordinal) is not None:
                raise ConfigurationError("ordinal", ordinal, "one that is stopped")
            return self._create(ordinal)

    def set_ready(self, ordinal: int, ready: bool) -> None:
        """Make a pod ready, or not."""
        with self._cluster.changing():
            self._pods[ordinal] = replace(self.pod(ordinal), ready=ready)

    def set_ready_all(self, ready: bool) -> None:
        """Make all pods ready, or none of them."""
        with self._cluster.changing():
            for pod in self.pods:
                self._pods[pod.ordinal] = replace(pod, ready=ready)

    def expose(self, service: str, ports: Ports | None = None) -> None:
        """Let another headless service select these pods too.

        It lists them under names made of their addresses, because it is not the governing one.

        Args:
            service: The name of the service; it is created if it does not exist.
            ports: The ports of the service, if it is created.
        """
        self._cluster.put_behind(service, self.namespace, self, ports)

    def delete(self) -> None:
        """Delete every pod, and remove the StatefulSet from its services."""
        with self._cluster.changing():
            self._pods.clear()
            self._cluster.take_away(self)

    def endpoints(self, service: Service) -> Iterator[Endpoint]:
        """Its entries in the slices of a service: one slice for each family, sorted by ordinal."""
        ports = service.ports if self._ports is None else self._ports
        named = service.name == self.governing_service
        for position in range(len(self._families)):
            for pod in self.pods:
                hostname = pod.name if named else None
                yield Endpoint(
                    pod.addresses[position], hostname, pod.ready, ports, self._in_cluster
                )

    def _create(self, ordinal: int) -> Pod:
        pod = self._pods[ordinal] = self._new_pod(ordinal)
        return pod

    def _new_pod(self, ordinal: int) -> Pod:
        name = f"{self.name}-{ordinal}"
        check_label("pod name", name)
        domain = f"{self.governing_service}.{self.namespace}.svc.{self._cluster.cluster_domain}"
        addresses = self._cluster.new_addresses(self._families)
        below = name if self._in_cluster is None else f"{name}.{self._in_cluster}"
        return Pod(name, ordinal, f"{below}.{domain}", addresses, self._ready)

    def _wanted(self, ordinal: int) -> Pod | None:
        if ordinal not in self._pods:
            last = self.first_ordinal + self.replicas - 1
            there = f"one from {self.first_ordinal} to {last}"
            raise ConfigurationError("ordinal", ordinal, there if self._pods else "replicas first")
        return self._pods[ordinal]
