"""Reads a service's SRV answer, and recognises the same answer again without reading it. Pure.

Most lookups get the same records as the lookup before. CoreDNS sends the SRV records of up to 100
pods in the same order, and shuffles their addresses. So the bytes before the addresses are
compared, and the address records as a set. On a loaded machine, reading the answer and making the
peers again took 12 us for 3 pods, 470 us for 100 and 3,700 us for 700; comparing the bytes took 1,
1 and 40 us, and comparing the sets 2 us for 3 pods and 12 us for 100. The result is the same
`ServiceRecords` object, from which `PeerFactory` concludes that no peer changed. If only addresses
changed, the names and ports are those of the last answer.
"""

from __future__ import annotations

from ..dns.fast_path import ServiceRecords, Services, read_services, read_with_glue
from ..dns.glue import Glue

__all__ = ["UsualAnswer"]


class UsualAnswer:
    """Reads the answers to one question.

    Args:
        name: The name in the question, in wire form.
        suffix: The service's name, in wire form.
    """

    def __init__(self, name: bytes, suffix: bytes) -> None:
        self._name = name
        self._suffix = suffix
        self._reply = b""
        """The last answer, without its id."""
        self._services: Services | None = None
        """Its SRV records."""
        self._glue = Glue(0, 0)
        """Its address records."""
        self._listing: ServiceRecords | None = None

    def __call__(self, reply: bytes) -> ServiceRecords | None:
        """See `peerdisco.dns.resolver.ReadServiceRecords`."""
        before, services, glue = self._listing, self._services, None
        if services is not None and reply.startswith(self._reply[: services.stop - 2], 2):
            glue = self._glue_of(reply)
            if glue is self._glue:
                return before
        else:
            services = read_services(reply, self._name, self._suffix)
            if services is None:
                return None
        found = read_with_glue(reply, services, self._suffix, glue)
        if found is None:
            return None
        listing, glue = found
        if listing.truncated:
            return listing  # and nothing is kept of it: the next one has other records
        if before is not None and listing[:2] == before[:2]:
            # The records are in another order, or have another TTL.
            listing = before._replace(ttl=listing.ttl, truncated=listing.truncated)
            services = services._replace(ports=before.ports)
        self._reply, self._services = reply[2:], services
        self._glue, self._listing = glue, listing
        return listing

    def _glue_of(self, reply: bytes) -> Glue | None:
        """The address records of an answer with the same SRV records; None to read them.

        The same object as before if they are the same, perhaps in another order.
        """
        known, glue = self._reply, self._glue
        if len(reply) != len(known) + 2:
            return None
        if reply.startswith(known, 2):
            return glue
        return glue.like_it_in(reply) if reply.endswith(known[glue.stop - 2 :]) else None
