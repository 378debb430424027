"""The choice of a peer, by the newest membership."""

import logging

import peerdisco

log = logging.getLogger("app")


class Members:
    """Chooses a peer for each write and each read, and logs each change.

    It keeps no list of its own: `peerdisco.Discovery` has the newest one, in which no peer is
    missing because of an outage, a cache or a truncated answer.
    """

    def __init__(self, disco: peerdisco.Discovery) -> None:
        self._disco = disco
        self._reads = 0

    def for_writing(self) -> peerdisco.Peer | None:
        """The primary; None while it is absent: no other peer takes its place."""
        return self._disco.snapshot.primary

    def for_reading(self) -> peerdisco.Peer | None:
        """The replicas in turn; the primary if there are none."""
        snapshot = self._disco.snapshot
        if not snapshot.replicas:
            return snapshot.primary
        self._reads += 1
        return snapshot.replicas[self._reads % len(snapshot.replicas)]

    async def follow(self) -> None:
        """Say what changes, until the watcher is closed."""
        async for change in self._disco.watch():
            log.info("%s", describe(change))


def describe(change: peerdisco.Change) -> str:
    """One line: what happened, who is there, who I am, and where a write goes."""
    snapshot = change.snapshot
    local, primary = snapshot.local, snapshot.primary
    role = "not listed" if local is None else "primary" if local == primary else "replica"
    me = snapshot.identity.pod_name if snapshot.identity else "outside a pod"
    parts = [
        f"{me} ({role})",
        f"peers: {', '.join(map(str, snapshot)) or 'none'}",
        f"writes go to: {primary or 'nobody'}",
    ]
    # A client with a pool of connections closes those to the old address here.
    parts += [f"{new} is at {new.address} now" for _, new in change.replaced]
    if change.degraded:
        parts.append(f"no answer, nobody left because of that: {snapshot.last_error}")
    if change.recovered:
        parts.append("answered again")
    return "; ".join(parts)
