"""A poll that queries a handful of records, whatever the number of pods.

The addresses of the service are queried, and compared with the known ones. A known address that is
still shown belongs to the same pod as in the previous lookup. Queried by name are:

1. The pods with an address that is no longer shown; and, once one of these or any other pod has
   another address, the pod that had that address before.
2. The owners of new addresses, as `peerdisco.sources.large.enumeration` finds them.
3. Some of the others in turn (`peerdisco.sources.large.rotation`). They show what the addresses of
   the service cannot: two pods that swapped their addresses, or a pod that has the address of
   another one that left.

Truncated answers show a random part of the addresses, and a missing one proves nothing. So pods
whose addresses were not shown for some polls are queried, those first that were not shown for the
longest time.
"""

from __future__ import annotations

from collections.abc import Collection

from ...dns.fast_path import AddressRecords, ServiceRecords
from .enumeration import BOTH, BY_NAME, Enumeration
from .questions import ask_addresses
from .rotation import MOST_VERIFIED

__all__ = ["MOST_UNSEEN", "PartialEnumeration"]

_UNSEEN_POLLS = 2
"""Consecutive polls that did not show an address of a pod, after which the pod is verified."""

MOST_UNSEEN = 8
"""Number of such pods that a poll verifies, unless half of them are gone."""


_AT_FIRST = MOST_VERIFIED + 8
"""Questions that a poll sends together: usually all of its questions, about names that exist."""


class PartialEnumeration(Enumeration):
    """One lookup of a service whose pods were all verified before; see `Enumeration`."""

    async def run_partly(self, listing: ServiceRecords | None) -> bool:
        """Verify a part of the pods; the service's own addresses confirm the others.

        Args:
            listing: The records of the SRV answer; None if it was not queried.

        Returns:
            False if that is not possible, and nothing was learned: an address family failed or
            changed, or the service has no addresses. Also if the SRV answer has every pod, and
            anything differs: then that answer shows what did.
        """
        state = self._state
        if listing is not None:
            self.ttl = listing.ttl
        if not await self._ask_service_and_some():
            return False
        known = state.owners.addresses
        # Comparing them takes half as long as subtracting one from the other.
        lost = frozenset() if known <= self._shown else frozenset(known - self._shown)
        self._explained = not lost and len(known) == len(self._shown)
        if state.listed and (self._changed or self._failed or not self._explained):
            return False
        if self._truncated:
            await self._ask_unseen(lost)
        elif lost:
            await self._ask_pods(self._not_asked(state.owners.of(lost)))
        if listing is not None:
            await self._ask_pods(self._not_asked(self._new(listing)))
        await self._ask_former_owners()
        unknown = self._unknown()
        if len(unknown) > BY_NAME and self._truncated:
            await self._ask_pods(self._not_asked(state.owners.of(lost)))
        if unknown or state.owners.shared:
            await self._ask_pods(self._not_asked(state.missing))
            await self._ask_former_owners()
        await self._finish(listing)
        return True

    async def _ask_service_and_some(self) -> bool:
        """Query the service's addresses together with the pods whose turn it is."""
        state = self._state
        self.addresses, self._rtypes = state.addresses, state.rtypes
        names = state.rotation.next(self._absent_to_query())
        rtypes = (*BOTH, *(state.rtypes if state.truncated else ()))
        results = await ask_addresses(
            self._resolver,
            [
                *((self._name, rtype) for rtype in rtypes),
                *((name, rtype) for rtype in state.rtypes for name in names),
            ],
            self._half(),
            self._leftovers,
            tcp=True,
            note=self._note,
            at_first=_AT_FIRST,
        )
        own = [found for found in results[: len(rtypes)] if isinstance(found, AddressRecords)]
        present = tuple(t for t, f in zip(rtypes, own, strict=False) if f.packed)
        truncated = any(found.truncated for found in own)
        if (
            len(own) < len(rtypes)
            or tuple(dict.fromkeys(present)) != state.rtypes
            or (truncated and not state.truncated)
        ):
            return False
        self._read_service(own)
        before = self.ttl
        self._read_answers(names, results[len(rtypes) :])
        if not self._truncated and self.ttl:
            # Caches hold the records of each pod apart; those whose turn it is say nothing about
            # when the service's own answer expires.
            self.ttl = before
        return True

    def _absent_to_query(self) -> int:
        """The number of absent ordinals that this poll will query again."""
        state, closed = self._state, self._state.closed
        due = closed is None or self._now >= closed.until
        return len(state.absent) if due and (state.truncated or state.owners.shared) else 0

    async def _ask_unseen(self, lost: frozenset[bytes]) -> None:
        """Query pods whose addresses the truncated answers have not shown for some polls.

        Their absence proves nothing, but a pod that has left is never shown again.
        """
        state = self._state
        state.unseen = {packed: state.unseen.get(packed, 0) + 1 for packed in lost}
        often = [p for p, polls in state.unseen.items() if polls >= _UNSEEN_POLLS]
        often.sort(key=state.unseen.__getitem__, reverse=True)
        names, size = self._not_asked(state.owners.of(often)), MOST_UNSEEN
        while names:
            some, names = names[:size], names[size:]
            await self._ask_pods(some)
            if sum(name in self._changed for name in some) * 2 < len(some):
                break
            size *= 2

    def _confirms(self, addresses: Collection[bytes]) -> bool:
        return bool(addresses) and self._shown.issuperset(addresses)
