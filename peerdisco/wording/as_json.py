"""Snapshots in the JSON format of the commands and hooks; its keys are promised. Pure."""

from __future__ import annotations

from ..exceptions import AmbiguousPrimary
from ..model import Peer, Snapshot

__all__ = ["clear_primary", "membership_json", "peer_json", "snapshot_json"]


def peer_json(peer: Peer) -> dict[str, object]:
    """One peer."""
    return {
        "name": peer.name,
        "ordinal": peer.ordinal,
        "statefulset": peer.statefulset,
        "hostname": peer.hostname,
        "addresses": [str(address) for address in peer.addresses],
        "ports": dict(peer.ports),
        "ready": peer.ready,
        "cluster": peer.cluster,
    }


def snapshot_json(snapshot: Snapshot, primary: Peer | None) -> dict[str, object]:
    """The attributes of a snapshot, without its peers."""
    local = snapshot.local
    return {
        "service": snapshot.service,
        "known": snapshot.known,
        "complete": snapshot.complete,
        "incomplete_reason": snapshot.incomplete_reason,
        "stale": snapshot.stale,
        "may_be_stale": snapshot.may_be_stale,
        "unconfirmed": [snapshot.name_of(peer) for peer in snapshot.unconfirmed],
        "primary": snapshot.name_of(primary) if primary else None,
        "local": snapshot.name_of(local) if local else None,
    }


def membership_json(snapshot: Snapshot) -> dict[str, object]:
    """The attributes and the peers of a snapshot, as ``peerdisco peers -o json`` prints them."""
    peers = [peer_json(peer) for peer in snapshot]
    return {**snapshot_json(snapshot, clear_primary(snapshot)), "peers": peers}


def clear_primary(snapshot: Snapshot) -> Peer | None:
    """The primary; None if it is absent or ambiguous."""
    try:
        return snapshot.primary
    except AmbiguousPrimary:
        return None
