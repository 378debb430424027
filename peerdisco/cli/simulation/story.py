"""The events of the simulated cluster, with their times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...model import Snapshot
from ...testing import ClusterDNS, StatefulSet

SERVICE = "my-database"
STATEFULSET = "mysql"

Stage = tuple[ClusterDNS, StatefulSet]


def _as_the_cluster(snapshot: Snapshot, statefulset: StatefulSet) -> bool:
    pods = {pod.name: set(pod.addresses) for pod in statefulset.pods}
    listed = {peer.name: set(peer.addresses) for peer in snapshot}
    return not snapshot.stale and listed == pods


@dataclass(frozen=True, slots=True)
class Event:
    """An event in the cluster.

    Attributes:
        at: Seconds since the start.
        words: Its description.
        happen: Changes the cluster.
        shown: Whether the client shows it. The next event waits for that, because at a high speed
            or on a busy machine the client could miss this one.
    """

    at: float
    words: str
    happen: Callable[[ClusterDNS, StatefulSet], object]
    shown: Callable[[Snapshot, StatefulSet], bool] = _as_the_cluster


STORY = (
    Event(0.0, "StatefulSet mysql starts, one pod after the other", lambda _, s: s.scale(1)),
    Event(1.5, "mysql-1 is ready", lambda _, s: s.scale(2)),
    Event(3.0, "mysql-2 is ready", lambda _, s: s.scale(3)),
    Event(5.0, "scaled up to 5", lambda _, s: s.scale(5)),
    # Comes back before its departure is confirmed, or after: nothing to wait for.
    Event(7.5, "mysql-1 is lost", lambda _, s: s.stop(1), lambda *_: True),
    Event(9.5, "mysql-1 is back, with a new address", lambda _, s: s.start(1)),
    Event(
        12.0,
        "outage: the cluster DNS does not answer",
        lambda dns, _: dns.fail("drop"),
        lambda snapshot, _: snapshot.stale,
    ),
    Event(15.0, "the cluster DNS is back", lambda dns, _: dns.restore()),
    Event(17.0, "scaled down to 3", lambda _, s: s.scale(3)),
)
LENGTH = 20.0
"""The length of the story in seconds."""
