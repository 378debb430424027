"""A change of the membership as one line of text, for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model import Change


def change_text(change: Change, at: datetime, *, verbose: bool = False) -> str:
    """A change for people, in one line."""
    from ..model.changes import rfc_3339  # noqa: PLC0415 - not needed for --help

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
    parts = [rfc_3339(at), count, *([" ".join(names)] if names else []), "; ".join(remarks)]
    return "  ".join(part for part in parts if part)


def _addresses(addresses: tuple[object, ...]) -> str:
    return f"={','.join(map(str, addresses))}" if addresses else ""
