"""Reads a service's SRV answer, and recognises the same answer again without reading it. Pure.

Most lookups get the same records as the lookup before. CoreDNS sends the SRV records of up to 100
pods in the same order, and shuffles their addresses. So the bytes before the addresses are
compared, and the address records as a set. On a loaded machine, reading the answer and making the
peers again took 12 us for 3 pods, 470 us for 100 and 3,700 us for 700; comparing the bytes took 1,
1 and 40 us, and comparing the sets 2 us for 3 pods and 12 us for 100. The result is the same
`ServiceRecords` object, from which `PeerFactory` concludes that no peer changed.
"""

from __future__ import annotations

from ..dns.fast_path import ServiceRecords, read_with_glue
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
        self._glue = Glue(0, 0)
        """Its address records, once the same came in another order."""
        self._listing: ServiceRecords | None = None

    def __call__(self, reply: bytes) -> ServiceRecords | None:
        """See `peerdisco.dns.resolver.ReadServiceRecords`."""
        before = self._listing
        if before is not None and self._is_again(reply):
            return before
        found = read_with_glue(reply, self._name, self._suffix)
        if found is None:
            return None
        listing, start, stop = found
        glue = Glue(start, stop)
        if before is not None and listing[:2] == before[:2]:
            # The records are in another order, or have another TTL.
            listing = before._replace(ttl=listing.ttl, truncated=listing.truncated)
            if reply.startswith(self._reply[: start - 2], 2):
                glue = Glue.of(reply, start, stop, len(self._suffix))
        self._reply, self._glue, self._listing = reply[2:], glue, listing
        return listing

    def _is_again(self, reply: bytes) -> bool:
        """Whether this is the last answer, perhaps with its address records in another order."""
        known = self._reply
        if len(reply) != len(known) + 2:
            return False
        if reply.startswith(known, 2):
            return True
        glue = self._glue
        return (
            reply.startswith(known[: glue.start - 2], 2)
            and reply.endswith(known[glue.stop - 2 :])
            and glue.is_in(reply)
        )
