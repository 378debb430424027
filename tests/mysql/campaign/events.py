"""Does the events of a round."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ..writer import Writer
from .cluster import Cluster
from .disturbances import DISTURB
from .operations import OPERATE
from .plan import Event, Round

__all__ = ["run_round"]


def run_round(cluster: Cluster, events: Round) -> None:
    """Do the events of a round while clients write, and check the cluster when it has rested."""
    with cluster.writing() as writer:
        writer.wait(5)
        for together in _groups(events):
            _do_together(cluster, together, writer)
        cluster.rest()


def _groups(events: Round) -> Iterator[list[Event]]:
    """The events that begin at the same time, one list after the other."""
    group: list[Event] = []
    for event in events:
        if group and not event.beside:
            yield group
            group = []
        group.append(event)
    yield group


def _do_together(cluster: Cluster, events: list[Event], writer: Writer) -> None:
    with ThreadPoolExecutor(len(events)) as pool:
        for done in [pool.submit(_do, cluster, event, writer) for event in events]:
            done.result()


def _do(cluster: Cluster, event: Event, writer: Writer) -> None:
    member = cluster.db[event.pod]
    with cluster.timing(event.kind):
        if event.kind in DISTURB:
            DISTURB[event.kind](cluster, member, event)
        else:
            OPERATE[event.kind](cluster, member, writer)
        time.sleep(event.seconds)
