"""The services of the benchmarks, which both servers serve."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from tests.bind import HeadlessService

SIZES = (3, 10, 100, 500, 700, 1000, 2000, 5000)
"""Pods."""

FITS = 700
"""Up to so many, one answer holds every name and address; a thousand names fit, but not theirs."""


@dataclass(frozen=True)
class Service:
    """A headless service with pods of the ordinals from 0.

    Attributes:
        pods: How many.
        namespace: By default one for each number of pods.
        service: Its name.
        statefulset: What the pods are called before their ordinals.
        moving: Whether each answer has another address for every pod than the one before.
    """

    pods: int
    namespace: str = ""
    service: str = "mysql"
    statefulset: str = "mysql"
    moving: bool = False

    def __post_init__(self) -> None:
        if not self.namespace:
            object.__setattr__(self, "namespace", f"of-{self.pods}")

    @property
    def fqdn(self) -> str:
        return f"{self.service}.{self.namespace}.svc.cluster.local"

    def hostname(self, ordinal: int) -> str:
        return f"{self.statefulset}-{ordinal}.{self.fqdn}"


def moving(pods: int) -> Service:
    """One whose every pod has another address in each answer."""
    return Service(pods, f"move-{pods}", moving=True)


def headless(service: Service) -> HeadlessService:
    """Its records, for BIND."""
    return HeadlessService(service.service, service.namespace, service.statefulset)


BIND_TAKES = 1200
"""SRV records of one name: BIND 9 loads no more than 64 KiB of them."""


def zones(services: Iterable[Service]) -> dict[str, str]:
    """Zone files of these services for BIND.

    Every pod has its address there, under its own name and the service's; of the SRV records, as
    many as BIND takes, by chance. They are more than a message holds, so that it cuts its answer.
    """
    found: dict[str, str] = {}
    for one in services:
        texts = headless(one).zones(range(one.pods))
        pods = set(random.Random(0).sample(range(one.pods), min(one.pods, BIND_TAKES)))
        last = {f" {one.hostname(ordinal)}." for ordinal in range(one.pods) if ordinal not in pods}
        for zone, text in texts.items():
            lines = [
                line
                for line in text.splitlines(keepends=True)
                if " SRV " not in line or f" {line.split()[-1]}" not in last
            ]
            if zone in found:  # that of the addresses, which the services share
                lines = [line for line in lines if " PTR " in line]
            found[zone] = found.get(zone, "") + "".join(lines)
    return found
