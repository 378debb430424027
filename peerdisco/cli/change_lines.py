"""A change of the membership as one line: JSON for programs, text for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model import Change


def change_json(change: Change, at: datetime) -> dict[str, object]:
    """A change for programs. The keys are promised to users."""
    from ..wording.as_json import clear_primary  # noqa: PLC0415 - not needed for --help

    snapshot = change.snapshot
    primary = clear_primary(snapshot)
    name_of = snapshot.name_of
    return {
        "at": _rfc_3339(at),
        "joined": [name_of(peer) for peer in change.joined],
        "left": [name_of(peer) for peer in change.left],
        "replaced": [name_of(new) for _, new in change.replaced],
        "peers": [name_of(peer) for peer in snapshot],
        "primary": name_of(primary) if primary else None,
        "known": snapshot.known,
        "complete": snapshot.complete,
        "incomplete_reason": snapshot.incomplete_reason,
        "unconfirmed": [peer.name for peer in snapshot.unconfirmed],
        "stale": snapshot.stale,
        "error": str(snapshot.last_error) if snapshot.last_error else None,
        "degraded": change.degraded,
        "recovered": change.recovered,
        "incomplete": change.incomplete,
        "completed": change.completed,
    }


def change_text(change: Change, at: datetime, *, verbose: bool = False) -> str:
    """A change for people, in one line."""
    snapshot = change.snapshot
    names = [
        f"{sign}{snapshot.name_of(peer)}{_addresses(peer.addresses) if verbose else ''}"
        for sign, peers in (
            ("+", change.joined),
            ("-", change.left),
            ("~", [new for _, new in change.replaced]),
        )
        for peer in peers
    ]
    remarks = []
    if change.recovered:
        remarks.append("DNS lookups succeed again")
    if change.completed:
        remarks.append("the list is complete again")
    if change.degraded:
        error = " ".join(str(snapshot.last_error).split())
        remarks.append(f"DNS lookups fail, keeping the last known peers: {error}")
    if snapshot.left_out and not snapshot.peers:
        from ..wording.members import none_selected  # noqa: PLC0415 - for this line alone

        remarks.append(none_selected(snapshot))
    if snapshot.known and not snapshot.complete:
        remarks.append(f"the list may be incomplete: {snapshot.incomplete_reason}")
        if snapshot.unconfirmed:
            suspected = " ".join(map(str, snapshot.unconfirmed))
            remarks.append(f"departures cannot be confirmed; not listed lately: {suspected}")
    count = f"{len(snapshot)} peer{'' if len(snapshot) == 1 else 's'}"
    if not snapshot.known:
        count = "peers unknown"
    parts = [_rfc_3339(at), count, *([" ".join(names)] if names else []), "; ".join(remarks)]
    return "  ".join(part for part in parts if part)


def _addresses(addresses: tuple[object, ...]) -> str:
    return f"={','.join(map(str, addresses))}" if addresses else ""


def _rfc_3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
