"""A service that does not fit into one answer, enumerated all the same.

A DNS message has at most 64 KiB. Beyond some 700 pods an SRV answer is cut, over TCP too: it holds
a part of the names, and hardly an address. What it holds, and what earlier looks learned, is where
this begins:

1. The addresses of the service: of up to 4,092 pods they come whole, of more a part, drawn anew
   for each answer where the server shuffles. They are what the names are held against.
2. The address of every name that is known, in a pipeline over one connection.
3. Pods that are not known yet show as addresses that nobody has. They are found by their ordinals
   (`peerdisco.sources.large.ordinals`), and what remains by the PTR record of the address.

The list is complete if every address of the service belongs to a name that was asked for. Where
even the addresses are cut, besides that every StatefulSet must be closed by its ordinals, every
pod must have one, and the addresses must have been drawn by chance: then a StatefulSet of which
nothing was ever seen would be a coincidence. Otherwise it is incomplete, with the reason.

Nothing is answered out of the memory of earlier looks; it only tells what to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...dns import wire
from ...dns.bulk import ask_each
from ...dns.fast_path import (
    Found,
    ServiceRecords,
    read_service_records,
    records_from_message,
    smallest_ttl,
)
from ...dns.resolver import Reply, ResolverProtocol
from ..leftovers import Leftovers
from ..peer_factory import PeerFactory
from .invented import InventedPods
from .ordinals import ABSENT_FOR, Ordinals, Pod
from .questions import Closed, EnumerationState, ask_addresses, ask_names

__all__ = ["Enumeration"]

_MISSED_FOR = 120.0
"""For so many seconds a pod that was there is asked for in every look: it may be restarting, and
whether it has left must not hang on one replica of the DNS."""

_WILDCARD = (
    "the name server has the same address for every pod name (a wildcard record), so pods that the "
    "service's own answer leaves out cannot be found"
)

_LARGE = "it is too large for one DNS message"

_PORTION = 1024
"""So many ordinals are asked for at a time: what is between two portions takes a few milliseconds
at most."""

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
        leftovers: Takes the records that are not used.
        any_port: Whether every port was asked for; False if one, by its name.

    Attributes:
        ports: The pods that were found, with their port numbers.
        addresses: Their addresses.
        ttl: The smallest TTL of what was read.
        reasons: Why there may be more.
    """

    def __init__(
        self,
        resolver: ResolverProtocol,
        peer_factory: PeerFactory,
        state: EnumerationState,
        name: bytes,
        deadline: float,
        leftovers: Leftovers,
        *,
        any_port: bool,
    ) -> None:
        self._resolver = resolver
        self._roster = peer_factory
        self._memory = state
        self._name = name
        self._deadline = deadline
        self._leftovers = leftovers
        self._any_port = any_port
        self._now = asyncio.get_running_loop().time()
        self._rtypes: tuple[int, ...] = (wire.A, wire.AAAA)
        self._shown: frozenset[bytes] = frozenset()
        """The addresses that the service's own answers held."""
        self._cut = False
        self._drawn = False
        """Whether what was cut was drawn by chance."""
        self._asked = 0
        self._invented = InventedPods()
        self._wildcard = False
        """Whether the name server has an address for every name."""
        self._gone: set[bytes] = set()
        self._failed: dict[bytes, Reply] = {}
        self._unclear: set[bytes] = set()
        """Pods whose own answer was cut."""
        self.ports: Mapping[bytes, tuple[int, ...]] = {}
        self.addresses: Mapping[bytes, tuple[bytes, ...]] = {}
        self.ttl = float("inf")
        self.reasons: list[str] = []

    async def run(self, listing: ServiceRecords) -> None:
        """Enumerate, beginning with what the answer held; without SRV records, with nothing."""
        state, label = self._memory, self._roster.label
        known = state.addresses
        self.ttl = listing.ttl
        new = [name for name in listing.ports.keys() - known.keys() if label(name) is not None]
        await self._ask_service()
        await self._ask_known()
        await self._ask_pods([*state.missing, *(n for n in new if n not in state.missing)])
        if without := (listing.ports.keys() & known.keys() | set(new)) - self.addresses.keys():
            # Their own records are missing or not answered: the next look tells whether they left.
            self._change(
                dict.fromkeys(without, ())
                | {name: listing.addresses[name] for name in without & listing.addresses.keys()}
            )
        await asyncio.sleep(0)
        await self._close()
        if self._wildcard and _WILDCARD not in self.reasons:
            self.reasons.append(_WILDCARD)
        await asyncio.sleep(0)
        if not self._any_port and not self._cut:
            self._drop_others(listing.ports)
        if self.addresses == known:
            self.addresses = known
        await self._find_ports(listing)
        self._tell_failures()
        await asyncio.sleep(0)
        self._remember()
        await asyncio.sleep(0)

    def _drop_others(self, listed: Collection[bytes]) -> None:
        """Leave out pods of the same StatefulSets that do not have the port that was asked for."""
        shown = self._shown
        self.addresses = {
            name: packed
            for name, packed in self.addresses.items()
            if name in listed or not shown.isdisjoint(packed)
        }

    def _change(self, addresses: Mapping[bytes, tuple[bytes, ...]]) -> None:
        """Add these; what is shared with the memory stays as it is."""
        if addresses:
            self.addresses = {**self.addresses, **addresses}

    # What the service's own answers hold.

    async def _ask_service(self) -> None:
        # One family that is never answered must leave the pods some time.
        until = self._now + (self._deadline - self._now) / 2
        results = await self._ask_addresses([(self._name, wire.A), (self._name, wire.AAAA)], until)
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

    async def _ask_addresses(
        self, questions: Sequence[tuple[bytes, int]], deadline: float | None = None
    ) -> list[Found | Reply]:
        return await ask_addresses(
            self._resolver,
            questions,
            self._memory,
            self._deadline if deadline is None else deadline,
            self._leftovers,
            tcp=True,
        )

    async def _ask_known(self) -> None:
        """Ask for the addresses of the pods that were there in the look before."""
        state = self._memory
        known, before = state.addresses, state.answers
        names = list(known)
        questions = [(name, rtype) for rtype in self._rtypes for name in names]
        answers = await self._ask_addresses(questions)
        if before is not None and answers == before[0]:
            self._asked += len(names)
            self.addresses = known  # each answer is the same as in the look before
            self.ttl = min(self.ttl, before[1])
            return
        state.answers = None
        await asyncio.sleep(0)
        found, least = self._take_in(names, answers)
        self.addresses = known if found == known else found
        if self.addresses is known:
            state.answers = (answers, least)

    async def _ask_pods(self, names: Sequence[bytes]) -> None:
        """Ask for the addresses of these pods, none of which was asked for in this look."""
        if names:
            questions = [(name, rtype) for rtype in self._rtypes for name in names]
            answers = await self._ask_addresses(questions)
            self._change(self._take_in(names, answers)[0])
            await asyncio.sleep(0)

    def _take_in(
        self, names: Sequence[bytes], answers: Sequence[Found | Reply]
    ) -> tuple[dict[bytes, tuple[bytes, ...]], float]:
        """The addresses in these answers, and their smallest TTL; the rest is noted."""
        self._asked += len(names)
        addresses: dict[bytes, tuple[bytes, ...]] = {}
        ttls: set[int] = set()
        for start in range(0, len(answers), len(names) or 1):
            for name, found in zip(names, answers[start : start + len(names)], strict=True):
                if isinstance(found, Reply):
                    self._failed[name] = found
                    continue
                if found.truncated:
                    self._unclear.add(name)
                if found.packed:
                    before = addresses.get(name)
                    addresses[name] = found.packed if before is None else before + found.packed
                    ttls.add(found.ttl)
        # One of many may have expired just now: together they count as one answer.
        least = float(smallest_ttl(ttls)) if ttls else float("inf")
        self.ttl = min(self.ttl, least)
        unknown = self._failed.keys() | self._unclear
        self._gone.update(n for n in names if n not in addresses and n not in unknown)
        return addresses, least

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
                # The reverse zones of the addresses may not be served.
                await self._search(whole=False)
                nameless = {p: r for p, r in nameless.items() if p in self._unknown()}
            self._tell_nameless(nameless)
        await asyncio.sleep(0)
        await self._close_ordinals()

    async def _close_ordinals(self) -> None:
        """Search for pods that no address tells of, where there may be such."""
        state = self._memory
        closed = state.closed if self.addresses is state.addresses else None
        if closed is None or closed.cut is not self._cut or self._now >= closed.until:
            found: list[str] = []
            if self._cut or self._addresses_are_shared():
                found = await self._search(whole=True)
            if self._cut:
                await asyncio.sleep(0)
                found += self._without_ordinals()
            until = min(state.absent.values(), default=self._now) + ABSENT_FOR
            state.closed = None if self._failed else Closed(until, self._cut, tuple(found))
            self.reasons += found
        else:
            self.reasons += closed.reasons
        if self._cut and not self._drawn:
            self.reasons.append(f"{_LARGE}, and the same part of its addresses comes each time")

    def _addresses_are_shared(self) -> bool:
        """Whether pods share addresses, as with ``hostNetwork``.

        Then every address may have a name, and a pod be missing all the same.
        """
        held = [packed for many in self.addresses.values() for packed in many]
        return len(set(held)) < len(held)

    async def _search(self, *, whole: bool) -> list[str]:
        """Find pods by their ordinals: until every row is closed, or nothing new is found.

        Returns:
            The reasons why there may be more pods.
        """
        if self._wildcard:
            return [_WILDCARD]
        state, peer_factory = self._memory, self._roster
        present = self._pods(self.addresses)
        await asyncio.sleep(0)
        fresh = [pod for pod, when in state.absent.items() if self._now - when < ABSENT_FOR]
        ordinals = Ordinals(present, [*fresh, *self._pods(self._gone)])
        await asyncio.sleep(0)
        while True:
            most = _PORTION if whole else min(_PORTION, len(self._unknown()))
            pods = [pod for pod in ordinals.next(most) if self._can_be(pod)] if most else []
            if not pods:
                break
            names = [peer_factory.name_of(*pod) for pod in pods]
            await self._ask_pods(names)
            there = 0
            for pod, name in zip(pods, names, strict=True):
                found = name in self.addresses
                there += found
                ordinals.learn(pod, found)
                if found:
                    self._invented.add(name, self.addresses[name])
                if name in self._gone:
                    state.absent[pod] = self._now
            real = self._invented.without(self.addresses)
            if real is not None:
                self.addresses = real
                self._wildcard = True
                return [_WILDCARD]
            if any(name in self._failed for name in names) or not (there or whole):
                break
        return [
            f"the ordinals of {name} have too many holes to ask for each"
            for name in ordinals.given_up
        ]

    def _can_be(self, pod: Pod) -> bool:
        """Whether a name can be as long as this pod's is (RFC 1035, 3.1)."""
        name = self._roster.name_of(*pod)
        return name[0] <= _LONGEST_LABEL and len(name) <= _LONGEST_NAME

    def _pods(self, names: Iterable[bytes]) -> list[Pod]:
        """Those of the names that have an ordinal."""
        peer_factory, addresses = self._roster, self.addresses
        pods = (peer_factory.pod(name, addresses.get(name, ())) for name in names)
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
            if not found.names and address not in past:
                # Else it was a pod's that has another one now, or has left: an old answer.
                nameless[address] = None
            for name in found.names:
                if name not in self.addresses:
                    new.setdefault(name, []).append(address)
        if new:
            asked = self._gone | self._failed.keys()
            await self._ask_pods([name for name in new if name not in asked])
        # Listed under its address, and not yet under its name: its absence is cached.
        hidden = {n: tuple(many) for n, many in new.items() if n not in self.addresses}
        self._change(hidden)
        self._gone.difference_update(hidden)
        return nameless

    def _tell_nameless(self, nameless: Mapping[bytes, Reply | None]) -> None:
        if nameless:
            replies = [reply for reply in nameless.values() if reply is not None]
            example = f" ({replies[0].attempt})" if replies else ""
            self.reasons.append(
                f"the names of {len(nameless)} of {len(self._shown)} addresses are not known"
                f"{example}"
            )

    def _without_ordinals(self) -> list[str]:
        without = len(self.addresses) - len(self._pods(self.addresses))
        return [f"{_LARGE}, and {without} of its pods have no ordinal to go by"] if without else []

    # Ports.

    async def _find_ports(self, listing: ServiceRecords) -> None:
        """The ports of each pod: as listed, as learned before, or as its own SRV record says."""
        before, known = self._memory.addresses, self._memory.ports
        if before is self.addresses and listing.ports.items() <= known.items():
            self.ports = known
            return
        listed = {name: _in_order(numbers) for name, numbers in listing.ports.items()}
        changed = any(
            known.get(name, numbers) != numbers and before.get(name) == self.addresses.get(name)
            for name, numbers in listed.items()
        )
        unknown = []
        ports: dict[bytes, tuple[int, ...]] = {}
        for name, packed in self.addresses.items():
            numbers = listed.get(name)
            if numbers is None and not changed and before.get(name) == packed:
                numbers = known.get(name)
            if numbers is None:
                unknown.append(name)
                numbers = ()
            ports[name] = numbers
        if unknown and (listed or listing.truncated):
            await asyncio.sleep(0)
            ports |= await self._ask_ports(unknown, set(listed.values()))
        self.ports = ports

    async def _ask_ports(
        self, names: Sequence[bytes], listed: set[tuple[int, ...]]
    ) -> dict[bytes, tuple[int, ...]]:
        """Ask for the ports of these pods; who says nothing has those that all others have."""
        agreed = next(iter(listed)) if len(listed) == 1 else ()
        suffix = self._roster.suffix
        results: Sequence[ServiceRecords | Reply | None] = [None] * len(names)
        if self._any_port:
            results = await ask_each(
                self._resolver,
                [(name, wire.SRV) for name in names],
                deadline=self._deadline,
                read=lambda number, reply: read_service_records(reply, names[number], suffix),
                convert=lambda message: records_from_message(
                    message, message.questions[0].name, suffix
                ),
            )
        ports = {}
        for name, found in zip(names, results, strict=True):
            told = found.ports.get(name) if isinstance(found, ServiceRecords) else None
            ports[name] = agreed if told is None else _in_order(told)
        return ports

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
        state, now = self._memory, self._now
        missing = {n: when for n, when in state.missing.items() if now - when < _MISSED_FOR}
        if self.addresses is not state.addresses:
            missing.update(dict.fromkeys(state.addresses.keys() - self.addresses.keys(), now))
            state.answers = None
        for name in missing.keys() & self.addresses.keys():
            del missing[name]
        if self.addresses is not state.addresses or len(missing) < len(state.missing):
            state.keep_answers(self.addresses.keys(), missing.keys())
        state.addresses, state.ports, state.missing = self.addresses, self.ports, missing
        state.absent = {pod: when for pod, when in state.absent.items() if now - when < ABSENT_FOR}


def _in_order(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return numbers if len(numbers) < 2 else tuple(sorted(set(numbers)))
