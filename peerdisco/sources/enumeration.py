"""A service that does not fit into one answer, enumerated all the same.

A DNS message has at most 64 KiB. Beyond some 700 pods an SRV answer is cut, over TCP too: it holds
a part of the names, and hardly an address. What it holds, and what earlier looks learned, is where
this begins:

1. The addresses of the service: of up to 4,092 pods they come whole, of more a part, drawn anew
   for each answer where the server shuffles. They are what the names are held against.
2. The address of every name that is known, in a pipeline over one connection.
3. Pods that are not known yet show as addresses that nobody has. They are found by their ordinals
   (`peerdisco.sources.ordinals`), and what remains by the PTR record of the address.

The list is complete if every address of the service belongs to a name that was asked for. Where
even the addresses are cut, besides that every StatefulSet must be closed by its ordinals, every
pod must have one, and the addresses must have been drawn by chance: then a StatefulSet of which
nothing was ever seen would be a coincidence. Otherwise it is incomplete, with the reason.

Nothing is answered out of the memory of earlier looks; it only tells what to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from ..dns import wire
from ..dns.bulk import ask_each
from ..dns.quick import Found, Listing, listing_of, read_listing
from ..dns.resolver import Asks, Reply
from .ordinals import ABSENT_FOR, Ordinals, Pod
from .questions import Memory, ask_addresses, ask_names
from .roster import Roster

__all__ = ["Enumeration"]

_MISSED_FOR = 120.0
"""For so many seconds a pod that was there is asked for in every look: it may be restarting, and
whether it has left must not hang on one replica of the DNS."""

_PORTION = 1024
"""So many ordinals are asked for at a time."""

_LONGEST_LABEL, _LONGEST_NAME = 63, 255

_BY_NAME = 8
"""More unknown addresses than these are looked for by ordinals first, these by their PTR."""


class Enumeration:
    """One look at a service whose answer was cut.

    Args:
        resolver: Whom to ask.
        roster: Knows which names can be pods.
        memory: What earlier looks learned; it learns from this one.
        name: The name that was asked for, in wire form.
        deadline: In the event loop's time.
        any_port: Whether every port was asked for; False if one, by its name.

    Attributes:
        ports: The pods that were found, with their port numbers.
        addresses: Their addresses.
        ttl: The smallest TTL of what was read.
        reasons: Why there may be more.
    """

    def __init__(
        self,
        resolver: Asks,
        roster: Roster,
        memory: Memory,
        name: bytes,
        deadline: float,
        *,
        any_port: bool,
    ) -> None:
        self._resolver = resolver
        self._roster = roster
        self._memory = memory
        self._name = name
        self._deadline = deadline
        self._any_port = any_port
        self._now = asyncio.get_running_loop().time()
        self._rtypes: tuple[int, ...] = (wire.A, wire.AAAA)
        self._shown: frozenset[bytes] = frozenset()
        """The addresses that the service's own answers held."""
        self._cut = False
        self._drawn = False
        """Whether what was cut was drawn by chance."""
        self._asked = 0
        self._gone: set[bytes] = set()
        self._failed: dict[bytes, Reply] = {}
        self._unclear: set[bytes] = set()
        """Pods whose own answer was cut."""
        self.ports: dict[bytes, tuple[int, ...]] = {}
        self.addresses: dict[bytes, tuple[bytes, ...]] = {}
        self.ttl = float("inf")
        self.reasons: list[str] = []

    async def run(self, listing: Listing) -> None:
        """Enumerate, beginning with what the answer held; without SRV records, with nothing."""
        memory = self._memory
        self.ttl = listing.ttl
        listed = {name for name in listing.ports if self._roster.label(name) is not None}
        await self._ask_service()
        known = [*memory.addresses, *memory.missing]  # in the same order as in the look before
        await self._ask_pods([*known, *listed.difference(known)])
        for name in listed - self.addresses.keys():
            # Its own record is missing or was not answered: the next look tells whether it left.
            self.addresses[name] = listing.addresses.get(name, ())
        await asyncio.sleep(0)
        await self._close()
        await asyncio.sleep(0)
        if not self._any_port and not self._cut:
            # Pods of the same StatefulSets that do not have the port that was asked for.
            for name in self.addresses.keys() - listed:
                if self._shown.isdisjoint(self.addresses[name]):
                    del self.addresses[name]
        await self._find_ports(listing)
        self._tell_failures()
        await asyncio.sleep(0)
        self._remember()
        await asyncio.sleep(0)

    # What the service's own answers hold.

    async def _ask_service(self) -> None:
        results = await self._ask_addresses([(self._name, wire.A), (self._name, wire.AAAA)])
        answers = dict(zip((wire.A, wire.AAAA), results, strict=True))
        failed = [found for found in results if isinstance(found, Reply)]
        if failed:
            self.reasons.append(f"one address family is not known ({failed[0].attempt})")
        found = {t: f for t, f in answers.items() if isinstance(f, Found)}
        if not any(f.packed or f.truncated for f in found.values()):
            if not failed:
                self.reasons.append("the service's name has no addresses to hold the names against")
            return
        self._rtypes = tuple(
            t for t in answers if t not in found or found[t].packed or found[t].truncated
        )
        self._shown = frozenset(p for f in found.values() for p in f.packed)
        self._saw_ttl(found.values())
        cut = [(self._name, t) for t, f in found.items() if f.truncated]
        if cut:
            # Once more at once, to see whether the server gives another part of them each time.
            self._cut = True
            again = [f for f in await self._ask_addresses(cut) if isinstance(f, Found)]
            more = self._shown.union(*(f.packed for f in again))
            self._drawn = len(more) > len(self._shown)
            self._shown = more

    # The pods' own answers.

    async def _ask_addresses(self, questions: Sequence[tuple[bytes, int]]) -> list[Found | Reply]:
        return await ask_addresses(
            self._resolver, questions, self._memory, self._deadline, tcp=True
        )

    async def _ask_pods(self, names: Sequence[bytes]) -> None:
        """Ask for the addresses of these pods, none of which was asked for in this look."""
        self._asked += len(names)
        addresses = self.addresses
        for rtype in self._rtypes:
            results = await self._ask_addresses([(name, rtype) for name in names])
            least = float("inf")
            for name, found in zip(names, results, strict=True):
                if isinstance(found, Reply):
                    self._failed[name] = found
                    continue
                if found.truncated:
                    self._unclear.add(name)
                if found.packed:
                    before = addresses.get(name)
                    addresses[name] = found.packed if before is None else before + found.packed
                    least = min(least, found.ttl)
            self.ttl = min(self.ttl, least)
            await asyncio.sleep(0)
        self._gone.update(
            name
            for name in names
            if name not in addresses and name not in self._failed and name not in self._unclear
        )

    def _saw_ttl(self, found: Iterable[Found]) -> None:
        self.ttl = min([self.ttl, *(float(f.ttl) for f in found if f.packed)])

    # Until the set is closed.

    def _unknown(self) -> set[bytes]:
        """The addresses of the service that no name has."""
        return set(self._shown.difference(*self.addresses.values()))

    async def _close(self) -> None:
        unknown = self._unknown()
        searched = len(unknown) > _BY_NAME
        if searched:
            await self._search(whole=False)
            unknown = self._unknown()
        if unknown:
            nameless = await self._find_names(unknown)
            if nameless and not searched:
                await self._search(whole=False)  # its reverse zones may not be served
                nameless = {p: r for p, r in nameless.items() if p in self._unknown()}
            self._tell_nameless(nameless)
        await asyncio.sleep(0)
        if self._cut or self._addresses_are_shared():
            await self._search(whole=True)
        if self._cut:
            await asyncio.sleep(0)
            self._judge_what_was_cut()

    def _addresses_are_shared(self) -> bool:
        """Whether pods share addresses, as with ``hostNetwork``.

        Then every address may have a name, and a pod be missing all the same.
        """
        held = [packed for many in self.addresses.values() for packed in many]
        return len(set(held)) < len(held)

    async def _search(self, *, whole: bool) -> None:
        """Find pods by their ordinals: until every row is closed, or nothing new is found."""
        memory, roster = self._memory, self._roster
        present = self._pods(self.addresses)
        await asyncio.sleep(0)
        fresh = [pod for pod, when in memory.absent.items() if self._now - when < ABSENT_FOR]
        ordinals = Ordinals(present, [*fresh, *self._pods(self._gone)])
        while True:
            most = _PORTION if whole else len(self._unknown())
            pods = [pod for pod in ordinals.next(most) if self._can_be(pod)] if most else []
            if not pods:
                break
            names = [roster.name_of(f"{statefulset}-{number}") for statefulset, number in pods]
            await self._ask_pods(names)
            there = 0
            for pod, name in zip(pods, names, strict=True):
                found = name in self.addresses
                there += found
                ordinals.learn(pod, found)
                if name in self._gone:
                    memory.absent[pod] = self._now
            if any(name in self._failed for name in names) or not (there or whole):
                break
        if whole and ordinals.given_up:
            names_ = ", ".join(ordinals.given_up)
            self.reasons.append(f"the ordinals of {names_} have too many holes to ask for each")

    def _can_be(self, pod: Pod) -> bool:
        """Whether a name can be as long as this pod's is (RFC 1035, 3.1)."""
        size = len(pod[0]) + 1 + len(str(pod[1]))
        return size <= _LONGEST_LABEL and 1 + size + len(self._roster.suffix) <= _LONGEST_NAME

    def _pods(self, names: Iterable[bytes]) -> list[Pod]:
        """Those of the names that have an ordinal."""
        pods = (self._roster.pod(name) for name in names)
        return [pod for pod in pods if pod is not None]

    async def _find_names(self, unknown: set[bytes]) -> dict[bytes, Reply | None]:
        """Find the names of these addresses by their PTR records; those that have none, and why."""
        packed = list(unknown)
        results = await ask_names(self._resolver, packed, self._roster, self._deadline)
        new: dict[bytes, list[bytes]] = {}
        nameless: dict[bytes, Reply | None] = {}
        past = {p for many in self._memory.addresses.values() for p in many}
        for address, found in zip(packed, results, strict=True):
            if isinstance(found, Reply):
                nameless[address] = found
                continue
            if not found and address not in past:
                # Else it was a pod's that has another one now, or has left: an old answer.
                nameless[address] = None
            for name in found:
                if name not in self.addresses:
                    new.setdefault(name, []).append(address)
        if new:
            asked = self._gone | self._failed.keys()
            await self._ask_pods([name for name in new if name not in asked])
        for name, addresses in new.items():
            if name not in self.addresses:
                # Listed under its address, and not yet under its name: its absence is cached.
                self.addresses[name] = tuple(addresses)
                self._gone.discard(name)
        return nameless

    def _tell_nameless(self, nameless: Mapping[bytes, Reply | None]) -> None:
        if nameless:
            replies = [reply for reply in nameless.values() if reply is not None]
            example = f" ({replies[0].attempt})" if replies else ""
            self.reasons.append(
                f"the names of {len(nameless)} of {len(self._shown)} addresses are not known"
                f"{example}"
            )

    def _judge_what_was_cut(self) -> None:
        large = "it is too large for one DNS message"
        if not self._drawn:
            self.reasons.append(f"{large}, and the same part of its addresses comes each time")
        without = len(self.addresses) - len(self._pods(self.addresses))
        if without:
            self.reasons.append(f"{large}, and {without} of its pods have no ordinal to go by")

    # Ports.

    async def _find_ports(self, listing: Listing) -> None:
        """The ports of each pod: as listed, as learned before, or as its own SRV record says."""
        before, known = self._memory.addresses, self._memory.ports
        listed = {name: _in_order(numbers) for name, numbers in listing.ports.items()}
        changed = any(
            known.get(name, numbers) != numbers and before.get(name) == self.addresses.get(name)
            for name, numbers in listed.items()
        )
        unknown = []
        for name, packed in self.addresses.items():
            numbers = listed.get(name)
            if numbers is None and not changed and before.get(name) == packed:
                numbers = known.get(name)
            if numbers is None:
                unknown.append(name)
                numbers = ()
            self.ports[name] = numbers
        if unknown and (listed or listing.truncated):
            await asyncio.sleep(0)
            await self._ask_ports(unknown, set(listed.values()))

    async def _ask_ports(self, names: Sequence[bytes], listed: set[tuple[int, ...]]) -> None:
        """Ask for the ports of these pods; who says nothing has those that all others have."""
        agreed = next(iter(listed)) if len(listed) == 1 else ()
        suffix = self._roster.suffix
        results: Sequence[Listing | Reply | None] = [None] * len(names)
        if self._any_port:
            results = await ask_each(
                self._resolver,
                [(name, wire.SRV) for name in names],
                deadline=self._deadline,
                read=lambda number, reply: read_listing(reply, names[number], suffix),
                convert=lambda message: listing_of(message, message.questions[0].name, suffix),
            )
        for name, found in zip(names, results, strict=True):
            told = found.ports.get(name) if isinstance(found, Listing) else None
            self.ports[name] = agreed if told is None else _in_order(told)

    # In the end.

    def _tell_failures(self) -> None:
        if self._failed:
            example = next(iter(self._failed.values())).attempt
            self.reasons.append(
                f"the addresses of {len(self._failed)} of {self._asked} names are not known "
                f"({example})"
            )
        if self._unclear:
            self.reasons.append(f"the answers about {len(self._unclear)} pods were cut")

    def _remember(self) -> None:
        memory, now = self._memory, self._now
        missing = {n: when for n, when in memory.missing.items() if now - when < _MISSED_FOR}
        missing.update(dict.fromkeys(memory.addresses, now))
        for name in missing.keys() & self.addresses.keys():
            del missing[name]
        memory.addresses, memory.ports, memory.missing = self.addresses, self.ports, missing
        memory.absent = {
            pod: when for pod, when in memory.absent.items() if now - when < ABSENT_FOR
        }
        memory.keep_answers(self.addresses.keys(), missing.keys())


def _in_order(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return numbers if len(numbers) < 2 else tuple(sorted(set(numbers)))
