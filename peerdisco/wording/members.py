"""The peers of a snapshot in words. Pure."""

from __future__ import annotations

from ..model import Snapshot
from .lists import listed

__all__ = ["count_in_words", "none_selected", "peers_in_words"]


def peers_in_words(snapshot: Snapshot) -> str:
    """The names of the listed peers; if the selection lists none, the peers that it leaves out."""
    if snapshot.peers or not snapshot.left_out:
        return listed(map(snapshot.name_of, snapshot.peers), empty="nobody")
    return none_selected(snapshot)


def count_in_words(snapshot: Snapshot) -> str:
    """The number of listed peers, and their names: ``2 (mysql-0, mysql-1)``."""
    if not snapshot.peers:
        return none_selected(snapshot) if snapshot.left_out else "none"
    return f"{len(snapshot)} ({listed(map(snapshot.name_of, snapshot.peers))})"


def none_selected(snapshot: Snapshot) -> str:
    """The peers that are left out, if the selected cluster or StatefulSet has no peers."""
    there, kind, chosen = snapshot.left_out, "cluster", snapshot.cluster
    known = {peer.cluster for peer in there if peer.cluster is not None}
    if chosen is None or chosen in known:
        kind, chosen = "StatefulSet", snapshot.statefulset
        there = tuple(peer for peer in there if peer.cluster == snapshot.cluster)
        known = {peer.statefulset for peer in there if peer.statefulset is not None}
    names = sorted(known)
    count = f"{len(there)} peer{'' if len(there) == 1 else 's'}"
    if not names:
        return f"{count}, none of {kind} {chosen} or any other"
    near = _nearest(chosen or "", names)
    hint = f"; did you mean {near}?" if near else ""
    return f"{count}, none of {kind} {chosen} (there is {listed(names)}{hint})"


def _nearest(name: str, known: list[str]) -> str | None:
    """The known name that was probably meant; None if none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    return next(iter(get_close_matches(name, known, n=1)), None)
