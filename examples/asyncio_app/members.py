"""The newest membership that can be relied on, and whom to ask for what."""

import asyncio
import logging

import peerdisco

log = logging.getLogger("app")


class Members:
    """Keeps the last whole list of peers, looks again now and then, and picks from it.

    A look that fails changes nothing: that no name server answers says nothing about the pods.
    NXDOMAIN and a list that may lack pods are treated alike here: a connection that fails will
    tell soon enough if a pod has really gone, and a list that shrank by mistake would not.
    """

    def __init__(self, service: str | None = None) -> None:
        self._service = service
        self._snapshot: peerdisco.Snapshot | None = None
        self._reads = 0

    @property
    def snapshot(self) -> peerdisco.Snapshot:
        """The last whole list; there is one after `start`."""
        assert self._snapshot is not None, "start() first"
        return self._snapshot

    async def start(self, *, interval: float) -> None:
        """Look until there is a first list: the service may be there before its pods are."""
        while self._snapshot is None:
            await self.look()
            if self._snapshot is None:
                await asyncio.sleep(interval)

    async def follow(self, *, interval: float) -> None:
        """Look again every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.look()

    async def look(self) -> None:
        """Look once, and keep the list that was there if that does not bring a whole one."""
        try:
            snapshot = (await peerdisco.discover(self._service)).require_complete()
        except (peerdisco.ConfigurationError, peerdisco.IdentityError):
            raise  # no later look will mend it
        except peerdisco.DiscoveryError as error:
            kept = "no list yet" if self._snapshot is None else f"keeping {len(self._snapshot)}"
            log.warning("%s: %s", kept, error)
            return
        if self._snapshot is None or snapshot.peers != self._snapshot.peers:
            log.info("%s", describe(snapshot))
        self._snapshot = snapshot

    def for_writing(self) -> peerdisco.Peer | None:
        """The primary; None while it is absent: nobody takes its place."""
        return self.snapshot.primary

    def for_reading(self) -> peerdisco.Peer | None:
        """The replicas in turn; the primary if there are none."""
        replicas = self.snapshot.replicas
        if not replicas:
            return self.snapshot.primary
        self._reads += 1
        return replicas[self._reads % len(replicas)]


def describe(snapshot: peerdisco.Snapshot) -> str:
    """One line: who I am, who is there, and where a write goes."""
    local, primary = snapshot.local, snapshot.primary
    role = "not listed" if local is None else "primary" if local == primary else "replica"
    me = snapshot.identity.pod_name if snapshot.identity else "outside a pod"
    peers = ", ".join(map(str, snapshot))
    return f"{me} ({role}); peers: {peers}; writes go to: {primary or 'nobody'}"
