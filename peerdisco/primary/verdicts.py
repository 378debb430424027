"""Verdicts: whether this pod may act as the primary, and whether it may create a database. Pure.

The pick of a primary is a name. Where data could be lost, more has to be checked:
`confirm_local_primary` before a pod acts as the primary, `may_bootstrap` before an empty one
creates a new database, `must_step_down` while it acts. All decide over facts that are handed in,
and give every reason, in words and as data.

Neither is a lock. Two processes can be ordinal 0 at a time (a node that is cut off goes on running
its pod; https://kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod/), and one
that sees neither DNS nor its peers cannot find that out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from ..exceptions import AmbiguousPrimary, ConfigurationError
from ..model import Identity, Peer, Snapshot
from ..wording.lists import listed as in_list
from ..wording.members import peers_in_words

__all__ = [
    "Code",
    "Decision",
    "Probe",
    "Reason",
    "ReasonCode",
    "Verdict",
    "confirm_local_primary",
    "may_bootstrap",
    "must_step_down",
]


class Decision(Enum):
    """The result of a verdict."""

    ALLOWED = "allowed"
    """Every fact allows it."""
    WAIT = "wait"
    """Not now; what is missing may still appear."""
    REFUSED = "refused"
    """No, until an operator acts."""


class Code(Enum):
    """What every kind of reason code has: a word, and the decision that it leads to."""

    def __init__(self, code: str, decision: Decision) -> None:
        self.code = code
        self.decision = decision


class ReasonCode(Code):
    """The reasons of the verdicts on a primary; each leads to one decision."""

    CONFIRMED = ("confirmed", Decision.ALLOWED)
    """DNS names this pod's own address for the primary's name, and nobody else claims it."""
    NOT_THE_PRIMARY = ("not-the-primary", Decision.REFUSED)
    """This pod's name is not the one that the policy picks."""
    AMBIGUOUS = ("ambiguous", Decision.REFUSED)
    """Several StatefulSets stand behind the service, and none was chosen."""
    NO_ANSWER = ("no-answer", Decision.WAIT)
    """DNS lookups have not succeeded yet, or fail now, so the current state is not known."""
    INCOMPLETE = ("incomplete", Decision.WAIT)
    """The list may be incomplete."""
    NOT_LISTED = ("not-listed", Decision.WAIT)
    """DNS does not list this pod, or not all that are expected."""
    OWN_ADDRESSES_UNKNOWN = ("own-addresses-unknown", Decision.REFUSED)
    """This pod's own addresses are not known, so they cannot be compared."""
    ANOTHER_ADDRESS = ("another-address", Decision.WAIT)
    """The record in DNS is old, or another pod has this pod's name."""
    ANOTHER_CLAIMS = ("another-claims", Decision.REFUSED)
    """A peer acts as the primary."""
    ALL_EMPTY = ("all-empty", Decision.ALLOWED)
    """Every expected peer answered, and none of them holds data."""
    FIRST_START = ("first-start", Decision.ALLOWED)
    """The user said that this is the first start, and no peer that answered holds data."""
    PEER_HOLDS_DATA = ("peer-holds-data", Decision.REFUSED)
    """A peer holds data, so an empty database would be a second one."""
    NOT_PROBED = ("not-probed", Decision.WAIT)
    """A peer did not answer, or does not know, and may hold data."""
    EXPECTED_UNKNOWN = ("expected-unknown", Decision.REFUSED)
    """Neither the number of pods nor that this is the first start is configured."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a verdict.

    Attributes:
        code: A `ReasonCode`, or one of `peerdisco.mysql.ServerReasonCode`.
        text: The same in words, with the facts in it, and what to do where something has to be
            done.
        peer: The pod that it is about; None if it is about none in particular.
    """

    code: Code
    text: str
    peer: str | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with every reason for it; true only if it is allowed.

    Attributes:
        decision: The sternest among the reasons': refused before wait before allowed.
        reasons: Those that led to the decision first, and then the others; never empty.
    """

    decision: Decision
    reasons: tuple[Reason, ...]

    @classmethod
    def of(cls, reasons: Iterable[Reason]) -> Verdict:
        """The verdict that these reasons, one or more, lead to."""
        given = sorted(reasons, key=lambda reason: _STERNNESS.index(reason.code.decision))
        return cls(given[0].code.decision, tuple(given))

    @property
    def allowed(self) -> bool:
        return self.decision is Decision.ALLOWED

    @property
    def waits(self) -> bool:
        """Whether what is missing may still appear."""
        return self.decision is Decision.WAIT

    @property
    def deciding(self) -> tuple[Reason, ...]:
        """The reasons that led to the decision."""
        return tuple(r for r in self.reasons if r.code.decision is self.decision)

    def __bool__(self) -> bool:
        return self.allowed

    def __str__(self) -> str:
        return f"{self.decision.value}: {'; '.join(map(str, self.deciding))}"


_STERNNESS = (Decision.REFUSED, Decision.WAIT, Decision.ALLOWED)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found out about one peer.

    Attributes:
        peer: The peer's unique name.
        answered: Whether it answered. One that did not may hold data, and may be the primary.
        holds_data: Whether it holds data that an empty primary would be a danger to; None if it
            does not know.
        claims_primary: Whether it acts as the primary now; None if it could not tell.
        detail: What was found, or why nothing was, in words.
    """

    peer: str
    answered: bool
    holds_data: bool | None = None
    claims_primary: bool | None = None
    detail: str = ""


def confirm_local_primary(
    snapshot: Snapshot, identity: Identity, probes: Iterable[Probe] = ()
) -> Verdict:
    """Whether this pod may act as the primary now.

    It may if its name is the one that the policy picks, if what DNS says of that name is this
    pod's own addresses and none else, and if no probe found a peer that acts as the primary.
    That is the moment's view of one observer, and no lock: a pod that is cut off sees neither.

    Args:
        snapshot: The membership. If the latest lookup failed, it confirms nothing.
        identity: Who this pod is, with its own addresses.
        probes: What was found out about the other peers; one about this pod itself is passed over.

    Returns:
        ALLOWED with CONFIRMED; else every reason against it.
    """
    own = _own_name(snapshot, identity)
    against = [
        *_against_the_view(snapshot),
        *_against_the_name(snapshot, identity),
        *(
            Reason(
                ReasonCode.ANOTHER_CLAIMS,
                f"{probe.peer} acts as the primary{_in_brackets(probe.detail)}: two would take "
                "writes; keep the data of both, and make one a replica only when it is known that "
                "the other one has everything",
                probe.peer,
            )
            for probe in probes
            if probe.claims_primary and probe.peer != own
        ),
    ]
    if against:
        return Verdict.of(against)
    addresses = ", ".join(map(str, identity.addresses))
    return Verdict.of(
        [
            Reason(
                ReasonCode.CONFIRMED,
                f"{identity.pod_name} is the primary, and DNS names its address ({addresses})",
                identity.pod_name,
            )
        ]
    )


def must_step_down(snapshot: Snapshot, identity: Identity) -> Reason | None:
    """Why this pod, which acts as the primary, must stop: its name belongs to another pod by now.

    That is so where DNS answers and names other addresses for this pod's name and none of its own,
    or lists other pods and no longer this one. An outage, a list that may lack pods, and a service
    of which nobody at all is listed say nothing about this pod, and are no reason.

    Args:
        snapshot: The membership, as a `peerdisco.Discovery` believes it.
        identity: Who this pod is, with its own addresses.

    Returns:
        The reason; None while there is none, which is no proof that there is no other pod of this
        name.
    """
    if snapshot.observed_at is None or snapshot.stale or not snapshot.peers:
        return None
    name = identity.pod_name
    local = snapshot.local
    if local is None:
        if not snapshot.complete or any(peer.name == name for peer in snapshot):
            # In several clusters there may be pods of this name; which is this one is not known.
            return None
        return Reason(
            ReasonCode.NOT_LISTED,
            f"{snapshot.service} lists {peers_in_words(snapshot)} and no longer "
            f"{name}: the pod was deleted, or is not ready and the service has no "
            "publishNotReadyAddresses: true",
            name,
        )
    if (
        not identity.addresses
        or not local.addresses
        or set(local.addresses) & {*identity.addresses}
    ):
        return None
    return _another_address(local, identity)


def may_bootstrap(
    snapshot: Snapshot,
    identity: Identity,
    probes: Iterable[Probe],
    *,
    expected: int | None = None,
    first_start: bool = False,
) -> Verdict:
    """Whether this pod, which is empty, may create a new database.

    An empty ordinal 0 may be the first pod of a new cluster, and it may be one that lost its
    volume. It may create a database only if no peer that answered holds data, and if every
    expected peer answered or the user said that this is the first start.

    Args:
        snapshot: The membership.
        identity: Who this pod is.
        probes: What was found out about the other peers; one about this pod itself is passed over.
        expected: How many pods the StatefulSet has (``spec.replicas``), this one included; None if
            that is not known, which does not do unless this is the first start.
        first_start: Whether the user said so. It outweighs peers that did not answer, and none
            that holds data.

    Returns:
        ALLOWED with ALL_EMPTY or FIRST_START; else every reason against it.

    Raises:
        ConfigurationError: ``expected`` is below 1.
    """
    if expected is not None and expected < 1:
        raise ConfigurationError("expected", expected, "a number of pods, 1 or more")
    own = _own_name(snapshot, identity)
    found = {probe.peer: probe for probe in probes if probe.peer != own}
    against = [
        Reason(
            ReasonCode.PEER_HOLDS_DATA,
            f"{probe.peer} holds data{_in_brackets(probe.detail)}, and {identity.pod_name} holds "
            "none: it has lost its volume, or has another one than before; give it that back, or "
            "a copy of the data of the peer that has most",
            probe.peer,
        )
        for probe in found.values()
        if probe.holds_data
    ]
    if first_start:
        return Verdict.of(
            against
            or [
                Reason(
                    ReasonCode.FIRST_START,
                    "the user said that this is the first start, and no peer that answered holds "
                    "data",
                )
            ]
        )
    against += _against_the_view(snapshot)
    if expected is None:
        against.append(
            Reason(
                ReasonCode.EXPECTED_UNKNOWN,
                "it is not known how many pods there should be: say so (spec.replicas), or that "
                "this is the first start",
            )
        )
    against += _not_answered(snapshot, identity, found, expected)
    if against:
        return Verdict.of(against)
    names = in_list(found, empty="there is no other")
    return Verdict.of(
        [Reason(ReasonCode.ALL_EMPTY, f"every peer answered, and holds no data ({names})")]
    )


def _against_the_view(snapshot: Snapshot) -> Iterator[Reason]:
    """The reasons against trusting this membership."""
    if snapshot.observed_at is None:
        failed = _in_brackets(str(snapshot.last_error or ""))
        yield Reason(ReasonCode.NO_ANSWER, f"DNS has not answered yet{failed}")
    elif snapshot.last_error is not None:
        yield Reason(ReasonCode.NO_ANSWER, f"DNS does not answer now ({snapshot.last_error})")
    if snapshot.known and snapshot.incomplete_reason is not None:
        yield Reason(ReasonCode.INCOMPLETE, f"the list may lack pods: {snapshot.incomplete_reason}")


def _against_the_name(snapshot: Snapshot, identity: Identity) -> Iterator[Reason]:
    """The reasons why this pod is not the one with the primary's name."""
    name = identity.pod_name
    try:
        primary = snapshot.primary
    except AmbiguousPrimary as error:
        yield Reason(ReasonCode.AMBIGUOUS, str(error))
        return
    local = snapshot.local
    if primary is not None and (local is None or primary is not local):
        of, where = primary.unique_name, name
        if of == where:  # the same name in two namespaces
            of, where = primary.hostname, f"{name} in namespace {identity.namespace}"
        yield Reason(ReasonCode.NOT_THE_PRIMARY, f"the primary is {of}, this pod is {where}", name)
        return
    if primary is None and (local is not None or _has_another_ordinal(snapshot, identity)):
        yield Reason(
            ReasonCode.NOT_THE_PRIMARY,
            f"the primary is not listed, and {name} is not the one",
            name,
        )
        return
    if local is None:
        yield Reason(
            ReasonCode.NOT_LISTED,
            f"{snapshot.service} does not list {name}: it is too new, it is not ready and the "
            "service has no publishNotReadyAddresses: true, or the pod was deleted",
            name,
        )
        return
    if not identity.addresses:
        yield Reason(
            ReasonCode.OWN_ADDRESSES_UNKNOWN,
            f"the addresses of {name} are not known: set POD_IP from the downward API "
            "(fieldRef: status.podIP)",
            name,
        )
        return
    if _foreign_addresses(local, identity) or not local.addresses:
        yield _another_address(local, identity)


def _another_address(local: Peer, identity: Identity) -> Reason:
    listed = ", ".join(map(str, local.addresses)) or "no address"
    return Reason(
        ReasonCode.ANOTHER_ADDRESS,
        f"DNS says {listed} for {local.hostname}, and this pod has "
        f"{', '.join(map(str, identity.addresses))}: the record is old, or another pod has this "
        "name",
        identity.pod_name,
    )


def _has_another_ordinal(snapshot: Snapshot, identity: Identity) -> bool:
    """Whether the name alone shows that this pod is not the one of the default policy."""
    if snapshot.statefulset not in (None, identity.statefulset):
        return True
    return identity.ordinal != snapshot.first_ordinal


def _foreign_addresses(local: Peer, identity: Identity) -> list[object]:
    """The addresses that DNS gives this pod's name and that are not this pod's.

    Of a family in which this pod's own address is not known nothing can be said, unless that
    leaves nothing to compare.
    """
    families = {address.version for address in identity.addresses}
    comparable = [address for address in local.addresses if address.version in families]
    if not comparable:
        return list(local.addresses)
    return [address for address in comparable if address not in identity.addresses]


def _not_answered(
    snapshot: Snapshot, identity: Identity, found: dict[str, Probe], expected: int | None
) -> Iterator[Reason]:
    """The peers, listed or expected, of which it is not known whether they hold data."""
    own, local = _own_name(snapshot, identity), snapshot.local
    listed = {peer.unique_name for peer in snapshot if peer.unique_name != own}
    cluster = f".{local.cluster}" if local is not None and local.cluster is not None else ""
    wanted = set(listed)
    if expected is not None and identity.statefulset is not None:
        first = snapshot.first_ordinal
        stem = identity.statefulset
        wanted |= {f"{stem}-{n}{cluster}" for n in range(first, first + expected)}
        wanted.discard(own)
    for name in sorted(wanted, key=_by_number):
        probe = found.get(name)
        if probe is not None and probe.answered and probe.holds_data is not None:
            continue
        if name not in listed:
            code, why = ReasonCode.NOT_LISTED, "is not listed in DNS"
        elif probe is None:
            code, why = ReasonCode.NOT_PROBED, "was not asked"
        elif not probe.answered:
            code, why = ReasonCode.NOT_PROBED, f"did not answer{_in_brackets(probe.detail)}"
        else:
            code, why = ReasonCode.NOT_PROBED, f"could not tell{_in_brackets(probe.detail)}"
        yield Reason(
            code,
            f"{name} {why}, and may hold data; it is waited for, unless you say that this is the "
            "first start",
            name,
        )


def _own_name(snapshot: Snapshot, identity: Identity) -> str:
    """What this pod is called among the peers; without a cluster while that is not known."""
    local = snapshot.local
    return identity.pod_name if local is None else local.unique_name


def _by_number(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isascii() and number.isdigit() else (name, -1)


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
