"""The difference between two memberships."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..wording.foreign import one_line
from ..wording.lists import listed
from .peers import Peer
from .snapshots import Snapshot, clear_primary

__all__ = ["Change"]


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two memberships.

    One change may combine several: lookups may have ``recovered``, and peers may have left
    meanwhile. Check every attribute that concerns you, rather than the first that is set.

    Attributes:
        joined: The peers that were added.
        left: The peers that left, with their last known addresses.
        replaced: The peers with the same name and other addresses or ports: before and after.
        snapshot: The membership after the change.
        degraded: Whether lookups started to fail; the membership stays unchanged meanwhile.
        recovered: Whether lookups succeed again. The same change may have peers in ``joined``,
            ``left`` and ``replaced``: those that the first answer after the outage shows.
        incomplete: Whether answers started to be incomplete. Until one is complete again,
            departures cannot be observed: pods that left stay listed; see `Snapshot.unconfirmed`.
        completed: Whether answers are complete again, so that departures are observed.
        before: The membership before the change; None if this is the first.
    """

    joined: tuple[Peer, ...]
    left: tuple[Peer, ...]
    replaced: tuple[tuple[Peer, Peer], ...]
    snapshot: Snapshot
    degraded: bool = False
    recovered: bool = False
    incomplete: bool = False
    completed: bool = False
    before: Snapshot | None = field(default=None, repr=False, compare=False)

    @property
    def added(self) -> tuple[Peer, ...]:
        """`joined`, and the new side of `replaced`: for those who keep a set of addresses.

        Remove the addresses of `removed` first: a pod may get the address of another one.
        """
        return (*self.joined, *(new for _, new in self.replaced))

    @property
    def removed(self) -> tuple[Peer, ...]:
        """`left`, and the old side of `replaced`; see `added`."""
        return (*self.left, *(old for old, _ in self.replaced))

    @property
    def primary(self) -> tuple[Peer | None, Peer | None]:
        """The primary before the change, and after it.

        Each is None while the primary is absent, unknown or ambiguous; `Snapshot.primary` raises
        an error for the last case. A primary with a new address is another `Peer` of the same name.
        """
        before = None if self.before is None else clear_primary(self.before)
        return before, clear_primary(self.snapshot)

    def as_dict(self, at: datetime | None = None) -> dict[str, object]:
        """The change in the JSON format of ``peerdisco watch -o json``.

        The keys are promised, and more may come.

        Args:
            at: The time of the change. None for the time at which the change was handed out, as
                its snapshot shows it; ``"at"`` is then None before the first answer.
        """
        snapshot = self.snapshot
        facts = snapshot.as_dict()
        if at is None and snapshot.observed_at is not None:
            at = snapshot.observed_at + timedelta(seconds=snapshot.age)
        return {
            "at": None if at is None else rfc_3339(at),
            "service": snapshot.service,
            "joined": [*map(snapshot.name_of, self.joined)],
            "left": [*map(snapshot.name_of, self.left)],
            "replaced": [snapshot.name_of(new) for _, new in self.replaced],
            "peers": [*snapshot.names],
            "primary": facts["primary"],
            "local": facts["local"],
            "known": snapshot.known,
            "complete": snapshot.complete,
            "incomplete_reason": snapshot.incomplete_reason,
            "unconfirmed": facts["unconfirmed"],
            "stale": snapshot.stale,
            "may_be_stale": snapshot.may_be_stale,
            "error": str(snapshot.last_error) if snapshot.last_error else None,
            "degraded": self.degraded,
            "recovered": self.recovered,
            "incomplete": self.incomplete,
            "completed": self.completed,
            "details": facts["peers"],
        }

    @classmethod
    def between(
        cls, before: Snapshot | None, after: Snapshot, *, ignore: str | None = None
    ) -> Change:
        """The difference between two snapshots of a service.

        Args:
            before: The earlier snapshot; None if there is none, so that every peer joined.
            after: The later snapshot.
            ignore: The unique name of a peer whose changes are left out.
        """
        # Copies of a snapshot share the tuple of their peers, so most polls end here.
        same = before is not None and before.peers is after.peers
        known = {} if before is None or same else {peer.unique_name: peer for peer in before}
        joined, replaced = [], []
        for peer in () if same else after:
            name = peer.unique_name
            old = known.pop(name, None)
            if name == ignore or old is peer:
                continue
            if old is None:
                joined.append(peer)
            elif (old.addresses, old.ports) != (peer.addresses, peer.ports):
                replaced.append((old, peer))
        stale = before is not None and before.stale
        partial = before is not None and before.known and not before.complete
        return cls(
            joined=tuple(joined),
            left=tuple(peer for name, peer in known.items() if name != ignore),
            replaced=tuple(replaced),
            snapshot=after,
            degraded=after.stale and not stale,
            recovered=stale and not after.stale,
            incomplete=after.known and not after.complete and not partial,
            completed=partial and after.complete,
            before=before,
        )

    def __bool__(self) -> bool:
        """Whether anything changed."""
        members = self.joined or self.left or self.replaced
        health = self.degraded or self.recovered or self.incomplete or self.completed
        return bool(members or health)

    def __repr__(self) -> str:
        """The service, the names with ``+``, ``-`` or ``~``, and the health, on one line."""
        name_of = self.snapshot.name_of
        names = [
            *(f"+{name_of(peer)}" for peer in self.joined),
            *(f"-{name_of(peer)}" for peer in self.left),
            *(f"~{name_of(new)}" for _, new in self.replaced),
        ]
        health = [
            name
            for name in ("degraded", "recovered", "incomplete", "completed")
            if getattr(self, name)
        ]
        facts = ([listed(names)] if names else []) + health
        if self.degraded:
            facts[-1] = f"degraded ({one_line(str(self.snapshot.last_error))})"
        return f"<Change {self.snapshot.service}: {', '.join(facts) or 'nothing'}>"


def rfc_3339(at: datetime) -> str:
    """A time in UTC with milliseconds, as in ``2026-01-01T12:00:00.000Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
