"""Enumerates a service that does not fit into one answer.

A DNS message has at most 64 KiB. Beyond some 700 pods an SRV answer is truncated, over TCP too: it
has a part of the names, and hardly an address. The enumeration starts from that part and from what
earlier lookups learned:

1. The addresses of the service. Up to 4,092 pods they are complete. Beyond that they are a part: a
   different one in each answer if the server shuffles. The names are compared with them.
2. The addresses of every known name, in a pipeline over one connection.
3. Unknown pods show as addresses without a name. They are found by their ordinals
   (`peerdisco.sources.large.ordinals`), and the rest by the PTR records of the addresses.

The list is complete if every address of the service belongs to a queried name. If the addresses are
truncated too, three more conditions must hold: the ordinals of every StatefulSet are closed, every
pod has an ordinal, and the addresses are a random part. Then it is very unlikely that a StatefulSet
was never seen. Otherwise the list is incomplete, with the reason.

State of earlier lookups only decides what to query. It never answers a query here; in most polls,
`peerdisco.sources.large.partial` takes the place of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

from ...dns import wire
from ...dns.fast_path import AddressRecords, ServiceRecords, smallest_ttl
from ...dns.resolver import Reply, ResolverProtocol
from ...model import Attempt
from ..leftovers import Leftovers
from ..peer_factory import PeerFactory
from .invented import InventedPods
from .ordinals import ABSENT_FOR, Ordinals, Pod
from .own_records import OwnRecords
from .ports import find_ports
from .questions import Closed, EnumerationState, ask_addresses, ask_names
from .rotation import LISTING_POLLS, MOST_VERIFIED, are_shared

__all__ = ["BOTH", "BY_NAME", "Enumeration"]

_QUERY_MISSING_FOR = 120.0
"""Seconds for which every lookup queries a missing pod: it may be restarting, and its departure
must not depend on one replica of the DNS."""

_WILDCARD = (
    "the name server has the same address for every pod name (a wildcard record), so pods that the "
    "service's own answer leaves out cannot be found"
)

_LARGE = "it is too large for one DNS message"

_BATCH = 1024
"""Number of ordinals that are queried together: the work between two batches takes a few
milliseconds at most."""

BY_NAME = 8
"""So many unknown addresses are resolved by their PTR records; more by ordinals first."""

BOTH = (wire.A, wire.AAAA)
"""The record types of addresses."""


class Enumeration:
    """One lookup of a service whose answer is truncated.

    Args:
        resolver: Sends the queries.
        peer_factory: Decides which names can be pods.
        state: What earlier lookups learned; updated by this one.
        name: The name in the question, in wire form.
        deadline: In the event loop's time.
        leftovers: Collects the records that are not used.
        any_port: Whether every port was queried; False for one named port.

    Attributes:
        ports: The pods found, with their port numbers.
        addresses: The addresses of the pods.
        ttl: The smallest TTL of the answers.
        reasons: Why the list may be incomplete.
        attempt: The exchange that brought the service's own addresses; None without any.
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
        self._peer_factory = peer_factory
        self._state = state
        self._name = name
        self._deadline = deadline
        self._leftovers = leftovers
        self._any_port = any_port
        self._now = asyncio.get_running_loop().time()
        self._rtypes: tuple[int, ...] = BOTH
        self._shown: frozenset[bytes] = frozenset()
        """The addresses in the answers for the service's own name."""
        self._truncated = False
        self._random = False
        """Whether truncated answers have a random part of the addresses."""
        self._explained = False
        """Whether every address of the service belongs to a pod of the previous lookup."""
        self._asked: set[bytes] = set()
        """The names whose addresses were queried."""
        self._changed: set[bytes] = set()
        """The names whose addresses differ from those of the previous lookup."""
        self._own = OwnRecords(
            resolver, peer_factory.suffix, deadline, state.ports, wanted=any_port
        )
        self._ordinals: tuple[Mapping[bytes, tuple[bytes, ...]], Ordinals | None] = ({}, None)
        """The pods that the last search found, and their ordinals; they cost much to read."""
        self._invented = InventedPods()
        self._wildcard = False
        """Whether the name server has an address for every name."""
        self._gone: set[bytes] = set()
        self._failed: dict[bytes, Reply] = {}
        self._unclear: set[bytes] = set()
        """Pods whose own answer is truncated."""
        self.ports: Mapping[bytes, tuple[int, ...]] = {}
        self.addresses: Mapping[bytes, tuple[bytes, ...]] = {}
        self.ttl = float("inf")
        self.reasons: list[str] = []
        self.attempt: Attempt | None = None

    async def run(self, listing: ServiceRecords) -> None:
        """Query every pod, beginning with the records of the SRV answer."""
        self.ttl = listing.ttl
        self._own.listed = listing.ports
        await self._ask_service()
        await self._ask_known()
        await self._ask_pods(self._not_asked([*self._state.missing, *self._new(listing)]))
        await self._finish(listing)

    def _new(self, listing: ServiceRecords) -> list[bytes]:
        """The pods in the SRV answer that the previous lookup did not find."""
        label = self._peer_factory.label
        new = listing.ports.keys() - self._state.addresses.keys()
        return [name for name in new if label(name) is not None]

    async def _finish(self, listing: ServiceRecords | None) -> None:
        known = self._state.addresses
        if listing is not None:
            self._keep_listed(listing)
        await self._pause()
        await self._close()
        await self._ask_former_owners()
        if self._wildcard and _WILDCARD not in self.reasons:
            self.reasons.append(_WILDCARD)
        await self._pause()
        if not self._any_port and not self._truncated:
            self._drop_others(() if listing is None else listing.ports)
        if self.addresses is not known and self.addresses == known:
            self.addresses = known
        self.ports = await find_ports(
            self._own, self._state, self.addresses, listing, any_port=self._any_port
        )
        self._report_failures()
        await self._pause()
        self._keep_state()
        await self._pause()

    async def _pause(self) -> None:
        """Let other tasks run, if the steps before and after this take long."""
        if self.addresses is not self._state.addresses:
            await asyncio.sleep(0)

    def _keep_listed(self, listing: ServiceRecords) -> None:
        """Keep the pods in the SRV answer whose own records are missing or failed.

        The next lookup shows whether they left.
        """
        known = self._state.addresses
        listed = {name for name in listing.ports if name in known or name in self._asked}
        if without := listed - self.addresses.keys():
            self._change(
                dict.fromkeys(without, ())
                | {name: listing.addresses[name] for name in without & listing.addresses.keys()}
            )

    def _drop_others(self, listed: Collection[bytes]) -> None:
        """Leave out pods of the same StatefulSets without the queried port."""
        shown = self._shown
        self.addresses = {
            name: packed
            for name, packed in self.addresses.items()
            if name in listed or not shown.isdisjoint(packed)
        }

    # The answers for the service's own name.

    async def _ask_service(self) -> None:
        results = await self._ask_addresses([(self._name, rtype) for rtype in BOTH], self._half())
        answers = dict(zip(BOTH, results, strict=True))
        failed = [found for found in results if isinstance(found, Reply)]
        if failed:
            self.reasons.append(f"one address family is not known ({failed[0].attempt})")
        found = {t: f for t, f in answers.items() if isinstance(f, AddressRecords)}
        if not any(f.packed or f.truncated for f in found.values()):
            if not failed:
                self.reasons.append("the service's name has no addresses to compare the names with")
            return
        self._rtypes = tuple(
            t for t in answers if t not in found or found[t].packed or found[t].truncated
        )
        truncated = [(self._name, t) for t, f in found.items() if f.truncated]
        # Query those again, to see whether each answer has another part of the addresses.
        again = await self._ask_addresses(truncated) if truncated else []
        self._read_service([*found.values(), *(f for f in again if isinstance(f, AddressRecords))])

    def _half(self) -> float:
        """A deadline that leaves time for the pods if an address family is never answered."""
        return self._now + (self._deadline - self._now) / 2

    def _read_service(self, found: Sequence[AddressRecords]) -> None:
        """Read the answers for the service's own name."""
        self._saw_ttl(found)
        self._truncated = any(answer.truncated for answer in found)
        families: dict[int, list[tuple[bytes, ...]]] = {}
        for answer in found:
            if answer.packed:
                families.setdefault(len(answer.packed[0]), []).append(answer.packed)
        shown = [frozenset().union(*answers) for answers in families.values()]
        self._shown = shown[0] if len(shown) == 1 else frozenset().union(*shown)
        # A truncated family was queried twice: does the second answer show others?
        self._random = self._truncated and any(
            len(every) > len(answers[0])
            for every, answers in zip(shown, families.values(), strict=True)
        )

    # The answers for the pods' names.

    async def _ask_addresses(
        self, questions: Sequence[tuple[bytes, int]], deadline: float | None = None
    ) -> list[AddressRecords | Reply]:
        return await ask_addresses(
            self._resolver,
            questions,
            self._deadline if deadline is None else deadline,
            self._leftovers,
            tcp=True,
            note=self._note if self.attempt is None else None,
        )

    def _note(self, attempt: Attempt) -> None:
        self.attempt = attempt

    async def _ask_known(self) -> None:
        """Query the addresses of all pods of the previous lookup."""
        self.addresses = self._state.addresses
        await self._ask_pods([*self.addresses])

    def _not_asked(self, names: Iterable[bytes]) -> list[bytes]:
        """Those of these names that this lookup has not queried yet."""
        return [*dict.fromkeys(name for name in names if name not in self._asked)]

    async def _ask_former_owners(self) -> None:
        """Query the pods that had the addresses of others before, until nothing more changes."""
        owners = self._state.owners
        while True:
            taken = [p for name in self._changed for p in self.addresses.get(name, ())]
            names = self._not_asked(owners.of(taken))
            if not names:
                break
            await self._ask_pods(names)

    async def _ask_pods(self, names: Sequence[bytes]) -> None:
        """Query the addresses of these pods, none of which was queried in this lookup."""
        if names:
            questions = [(name, rtype) for rtype in self._rtypes for name in names]
            found = await self._own.ask(names, self._rtypes)
            left = [question for question in questions if question not in found]
            found |= zip(left, await self._ask_addresses(left), strict=True)
            self._read_answers(names, [found[question] for question in questions])
            await asyncio.sleep(0)

    def _read_answers(
        self, names: Sequence[bytes], answers: Sequence[AddressRecords | Reply]
    ) -> None:
        """Apply the answers for these names, and their smallest TTL; failures are recorded."""
        self._asked.update(names)
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
        # Together they count as one answer: one of many may have expired just now.
        if ttls:
            self.ttl = min(self.ttl, float(smallest_ttl(ttls)))
        known = self.addresses
        unknown = self._failed.keys() | self._unclear
        gone = {name for name in names if name not in addresses and name not in unknown}
        self._gone |= gone
        different = {n: many for n, many in addresses.items() if known.get(n) != many}
        failed = [name for name in names if name in self._failed and name not in addresses]
        hidden = {name for name in failed if not self._confirms(known.get(name, ()))}
        lost = (gone | hidden) & known.keys()
        if self._state.addresses:  # otherwise nobody had an address before
            self._changed.update(different, lost)
        if lost:
            self.addresses = {n: many for n, many in known.items() if n not in lost}
        self._change(different)

    def _confirms(self, addresses: Collection[bytes]) -> bool:  # noqa: ARG002 - see the subclass
        """Whether a pod whose own query failed keeps these addresses of the previous lookup."""
        return False

    def _change(self, addresses: Mapping[bytes, tuple[bytes, ...]]) -> None:
        """Add these addresses to a copy: the mapping is shared with the state."""
        if addresses:
            self.addresses = {**self.addresses, **addresses}

    def _saw_ttl(self, found: Iterable[AddressRecords]) -> None:
        self.ttl = min([self.ttl, *(float(f.ttl) for f in found if f.packed)])

    # Unknown pods.

    def _unknown(self) -> set[bytes]:
        """The addresses of the service without a name."""
        if self.addresses is self._state.addresses:
            known = self._state.owners.addresses
            self._explained = self._explained or self._shown <= known
            return set() if self._explained else set(self._shown - known)
        return set(self._shown.difference(*self.addresses.values()))

    async def _close(self) -> None:
        unknown = self._unknown()
        searched = len(unknown) > BY_NAME
        if searched:
            if not self.addresses:  # a few names lead to the StatefulSets
                await self._find_names(set(islice(unknown, BY_NAME)))
            await self._search(whole=False)
            unknown = self._unknown()
        if unknown:
            nameless = await self._find_names(unknown)
            if nameless and not searched:
                # The reverse zones of the addresses may not be served.
                await self._search(whole=False)
                nameless = {p: r for p, r in nameless.items() if p in self._unknown()}
            self._report_nameless(nameless)
        await self._pause()
        await self._close_ordinals()

    async def _close_ordinals(self) -> None:
        """Search for pods that no address shows, if there may be any."""
        state = self._state
        closed = state.closed if self.addresses is state.addresses else None
        if closed is None or closed.truncated is not self._truncated or self._now >= closed.until:
            found: list[str] = []
            if self._truncated or are_shared(self.addresses):
                found = await self._search(whole=True)
            if self._truncated:
                await asyncio.sleep(0)
                found += await self._without_ordinals()
            until = min(state.absent.values(), default=self._now) + ABSENT_FOR
            state.closed = None if self._failed else Closed(until, self._truncated, tuple(found))
            self.reasons += found
        else:
            self.reasons += closed.reasons
        if self._truncated and not self._random:
            self.reasons.append(f"{_LARGE}, and every answer has the same part of its addresses")

    async def _search(self, *, whole: bool) -> list[str]:
        """Find pods by their ordinals: until every row is closed, or nothing new is found.

        Returns:
            The reasons why there may be more pods.
        """
        if self._wildcard:
            return [_WILDCARD]
        state = self._state
        ordinals = await self._known_ordinals()
        while True:
            most = _BATCH if whole else min(_BATCH, len(self._unknown()))
            pods = self._peer_factory.names_of(ordinals.next(most)) if most else {}
            if not pods:
                break
            await self._ask_pods([*pods])
            present_count = 0
            for name, pod in pods.items():
                found = name in self.addresses
                present_count += found
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
            if not pods.keys().isdisjoint(self._failed) or not (present_count or whole):
                break
        if not self._failed:
            self._ordinals = self.addresses, ordinals
        return [
            f"the ordinals of {name} have too many holes to query each"
            for name in ordinals.given_up
        ]

    async def _known_ordinals(self) -> Ordinals:
        """The ordinals of the pods found so far."""
        addresses, ordinals = self._ordinals
        if ordinals is not None and addresses is self.addresses:
            return ordinals
        state, present = self._state, self._pods(self.addresses)
        await asyncio.sleep(0)
        fresh = [pod for pod, when in state.absent.items() if self._now - when < ABSENT_FOR]
        ordinals = Ordinals(present, [*fresh, *self._pods(self._gone)])
        await asyncio.sleep(0)
        return ordinals

    def _pods(self, names: Iterable[bytes]) -> list[Pod]:
        """The pods among these names that have an ordinal."""
        peer_factory, addresses = self._peer_factory, self.addresses
        pods = (peer_factory.pod(name, addresses.get(name, ())) for name in names)
        return [pod for pod in pods if pod is not None]

    async def _find_names(self, unknown: set[bytes]) -> dict[bytes, Reply | None]:
        """Query the names of these addresses; return those without one, with the failure if any."""
        packed = list(unknown)
        results = await ask_names(self._resolver, packed, self._peer_factory, self._deadline)
        new: dict[bytes, list[bytes]] = {}
        nameless: dict[bytes, Reply | None] = {}
        past = {p for many in self._state.addresses.values() for p in many}
        for address, found in zip(packed, results, strict=True):
            if isinstance(found, Reply):
                nameless[address] = found
                continue
            if not found.names and address not in past:
                # Otherwise this is the earlier address of a pod that moved or left.
                nameless[address] = None
            for name in found.names:
                if name not in self.addresses or name not in self._asked:
                    new.setdefault(name, []).append(address)
        await self._ask_pods(self._not_asked(new))
        # The pod has a PTR record, and its name is still cached as nonexistent.
        hidden = {n: tuple(many) for n, many in new.items() if n not in self.addresses}
        self._change(hidden)
        self._gone.difference_update(hidden)
        return nameless

    def _report_nameless(self, nameless: Mapping[bytes, Reply | None]) -> None:
        if nameless:
            self._state.polls = LISTING_POLLS  # the next SRV answer may have the names
            replies = [reply for reply in nameless.values() if reply is not None]
            example = f" ({replies[0].attempt})" if replies else ""
            self.reasons.append(
                f"the names of {len(nameless)} of {len(self._shown)} addresses are not known"
                f"{example}"
            )

    async def _without_ordinals(self) -> list[str]:
        without = len(self.addresses) - (await self._known_ordinals()).count
        return [f"{_LARGE}, and {without} of its pods have no ordinal"] if without else []

    # The result.

    def _report_failures(self) -> None:
        if self._failed:
            example = next(iter(self._failed.values())).attempt
            self.reasons.append(
                f"the addresses of {len(self._failed)} of {len(self._asked)} names are not known "
                f"({example})"
            )
        if self._unclear:
            self.reasons.append(f"the answers for {len(self._unclear)} pods are truncated")

    def _keep_state(self) -> None:
        state, now = self._state, self._now
        missing = {n: when for n, when in state.missing.items() if now - when < _QUERY_MISSING_FOR}
        if self.addresses is not state.addresses:
            missing.update(dict.fromkeys(state.addresses.keys() - self.addresses.keys(), now))
        for name in missing.keys() & self.addresses.keys():
            del missing[name]
        state.use(self.addresses)
        state.ports, state.missing = self.ports, missing
        state.absent = {pod: when for pod, when in state.absent.items() if now - when < ABSENT_FOR}
        state.rtypes, state.truncated = self._rtypes, self._truncated
        state.settled = bool(self._shown) and len(self._failed) <= MOST_VERIFIED
        state.rotation.retry((state.bare | self._failed.keys()) & self.addresses.keys())
        verified = {p for name in self._asked for p in self.addresses.get(name, ())}
        state.unseen = {p: n for p, n in state.unseen.items() if p not in verified}
