"""What the histories of two servers say against following, or against opening. Pure.

Each reason says which of the two has what the other does not have, so that nobody empties the only
copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ..primary.verdicts import Reason
from .facts import ServerFacts
from .history import Comparison, Epoch, Recorded, Standing, compare
from .positions import Position
from .reasons import ServerReasonCode

__all__ = [
    "NEW_COPY",
    "PART_OF_IT",
    "against_discarding",
    "against_following",
    "against_opening",
    "against_replaying",
    "agrees",
    "keeping_relay_logs",
    "with_received",
]

NEW_COPY = "empty this pod's volume and restart it to give it a new copy"

PART_OF_IT = (Standing.PREFIX, Standing.LOCAL_WRITES)
"""What of a primary a replica has then is a part of what the primary has."""


def against_following(own: ServerFacts, primary: ServerFacts) -> Iterator[Reason]:
    """Why this replica must not follow that primary; nothing if its history is the primary's."""
    found = compare(own.recorded, primary.recorded_as_primary)
    code = _CODES.get(found.standing)
    only_here = found.primary_is_older or found.standing is Standing.GAP
    if found.standing is Standing.LOG_RESET and own.unapplied is not None:
        received = compare(with_received(own), primary.recorded_as_primary)
        found = replace(found, transactions=received.transactions, count=received.count)
        only_here = received.count > 0
    if code is not None:
        relay = keeping_relay_logs(own) if only_here else ""
        yield Reason(code, f"{_WORDS[found.standing](found)}{relay}")


def keeping_relay_logs(own: ServerFacts) -> str:
    """What a message says behind the advice to keep this volume; empty if there is no need."""
    if own.unapplied is None:
        return ""
    more = _only_in(own.unapplied, own.position)
    return f"; it has received, and not applied, {more}: {_until_saved(own)}"


def _until_saved(found: ServerFacts, whose: str = "its server") -> str:
    applies = found.status is not None and found.status.applier_running
    return (
        f"restart neither {whose} nor its replication, which discards them, before its relay logs "
        f"are saved{' or it has applied them' if applies else ''}"
    )


def against_replaying(
    own: ServerFacts, primary: ServerFacts, ordinal: int | None
) -> Iterator[Reason]:
    """Why this replica cannot get from the primary's log what it does not have; nothing if it can.

    A replica skips all transactions with its own ``server_id``, without an error: those that this
    pod wrote as the primary, and lost with its volume or in an older one.

    Args:
        own: The replica's facts.
        primary: The primary's facts; its history has all of the replica's.
        ordinal: The replica's; None if not known.
    """
    for epoch, later in itertools.pairwise(primary.history.epochs):
        if epoch.server != own.origin and epoch.ordinal != ordinal:
            continue
        if _lost(own, epoch, later):
            yield Reason(
                ServerReasonCode.NEEDS_COPY,
                f"this pod does not have all that it wrote as the primary of epoch {epoch.number} "
                f"({epoch.id}), and a server skips what it has written itself in the log of "
                f"another one: {'this pod needs a copy' if own.blank else NEW_COPY}",
            )
            return


def against_discarding(
    own: ServerFacts, primary: ServerFacts, *, broken: bool = False
) -> Iterator[Reason]:
    """Why the relay logs of this replica must be kept; nothing if the primary has what they have.

    Its data may be a part of the primary's, and what it has received and not applied may be newer:
    so it is if its applier was behind, and the primary then got an older volume.

    Args:
        own: The replica's facts.
        primary: The primary's facts; its history has all that the replica has applied.
        broken: Whether replication has stopped with an error, which a primary with another history
            may be the reason for, however much it has written since.
    """
    if own.status is None or own.unapplied is None:
        return
    at = primary.recorded_as_primary
    more = own.unapplied.beyond(at.position)
    if not more and broken:
        found = compare(with_received(own), at)
        more = found.transactions if found.primary_is_older else ""
    if more:
        yield Reason(
            ServerReasonCode.PRIMARY_IS_OLDER,
            "this pod has received, and not applied, transactions that the primary does not have "
            f"(volume from an earlier snapshot?): keep this volume; {_until_saved(own)} ({more}"
            f"{own.status.trouble})",
        )


def with_received(found: ServerFacts) -> Recorded:
    """A server's history with what is in its relay logs."""
    recorded = found.recorded
    received = found.status.received if found.status is not None else ""
    return replace(recorded, position=recorded.position.with_more(received))


def _lost(own: ServerFacts, epoch: Epoch, later: Epoch) -> bool:
    """Whether a server does not have all of an epoch that ended with a later one."""
    newest = own.history.newest
    if own.history.get(epoch.id) is None:
        return newest is None or newest.number < epoch.number
    if newest is None or newest.id != epoch.id:
        return False
    return bool(later.left_position.beyond(own.position, of={epoch.server}))


_CODES = {
    Standing.AHEAD: ServerReasonCode.PRIMARY_IS_OLDER,
    Standing.FORKED: ServerReasonCode.PRIMARY_IS_OLDER,
    Standing.GAP: ServerReasonCode.PRIMARY_IS_OLDER,
    Standing.LOG_RESET: ServerReasonCode.NEEDS_COPY,
    Standing.LOG_LOST: ServerReasonCode.NEEDS_COPY,
    Standing.TOO_OLD: ServerReasonCode.NEEDS_COPY,
    Standing.LOCAL_WRITES: ServerReasonCode.OWN_CHANGES,
}


def _ahead(found: Comparison) -> str:
    return (
        f"the primary's data are older than this pod's (volume from an earlier snapshot?): keep "
        f"this volume; {_difference(found)}; give the primary its newer volume, or a new one "
        "and then a copy of the replica that 'peerdisco mysql-recover' names; restart no server "
        "before that, and keep the volume that the primary has now"
    )


def _forked(found: Comparison) -> str:
    opened = f" at {_at(found.opened_at)}" if found.opened_at is not None else ""
    return (
        f"the primary was opened{opened} with data that are older than this pod's (volume from an "
        f"earlier snapshot?): keep this volume; {_difference(found)}; the primary may hold newer "
        "writes that this pod does not have, so keep its volume, too, until both are compared"
    )


def _gap(_: Comparison) -> str:
    return (
        "this pod has applied transactions of a primary whose history is another one than its "
        "own, so that rows are missing here and others are only here: keep this volume until the "
        f"rows that only it has are moved to the primary; then {NEW_COPY}"
    )


def _log_reset(found: Comparison) -> str:
    opened = f" before {_at(found.opened_at)}" if found.opened_at is not None else ""
    reset = (
        f"the binary log of the primary was reset{opened} (RESET MASTER), so that it cannot send "
        "what this pod does not have"
    )
    if found.opened_at is None:
        reset += (
            "; wait until the primary's sidecar reports that, since a copy of before is refused"
        )
    if not found.count:
        return f"{reset}; the primary has everything that this pod has: {NEW_COPY}"
    return (
        f"{reset}: give this pod a copy on another volume, and keep this one until it is known "
        f"that the primary has {_transactions(found)}, from shortly before or after that"
    )


def _log_lost(_: Comparison) -> str:
    return (
        "the binary log of this pod was reset (RESET MASTER) while it was the primary, so that its "
        "position does not show whether the primary has all of its data: give this pod a copy on "
        "another volume, and keep this one until that is known"
    )


def _too_old(_: Comparison) -> str:
    return (
        "this pod's data are older than all that the primary still knows of its history: give it "
        "a copy on another volume, and keep this one, which may hold what was not replicated"
    )


def _local(found: Comparison) -> str:
    return (
        f"this pod has transactions that the primary does not have ({found.transactions}), and "
        "that no primary wrote: a client wrote here, or a MariaDB that was killed during DDL of "
        "the primary finished it on its own; move what is needed to the primary, then "
        f"{NEW_COPY}"
    )


_WORDS = {
    Standing.AHEAD: _ahead,
    Standing.FORKED: _forked,
    Standing.GAP: _gap,
    Standing.LOG_RESET: _log_reset,
    Standing.LOG_LOST: _log_lost,
    Standing.TOO_OLD: _too_old,
    Standing.LOCAL_WRITES: _local,
}


def _difference(found: Comparison) -> str:
    """What the one has and the other does not have, in words."""
    epoch = f"epoch {found.common.number} ({found.common.id})" if found.common else "the beginning"
    more = f", {_transactions(found)} more" if found.count else ""
    return (
        f"of {epoch}, the primary has the heartbeats until {_at(found.primary_at)}, and this pod "
        f"those until {_at(found.replica_at)}{more}"
    )


def _transactions(found: Comparison) -> str:
    return _counted(found.count, found.transactions)


def _only_in(found: Position, other: Position) -> str:
    return _counted(found.count_beyond(other), found.beyond(other))


def _counted(count: int, transactions: str) -> str:
    return f"{count} {'transaction' if count == 1 else 'transactions'} ({transactions})"


def _at(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "an unknown time"


# The primary.


def against_opening(own: ServerFacts, peers: Mapping[str, ServerFacts]) -> Iterator[Reason]:
    """What peers of the same cluster have that this pod, which is to be the primary, does not have.

    A peer that only has more is a reason alone. One whose history separated from this pod's counts
    if no majority of those that answered has this pod's: a volume that was kept from an old fork
    must not close everybody's primary.

    What a peer has received, and not applied, counts as well: with semi-synchronous replication it
    is what a client's transaction was acknowledged for.

    Args:
        own: The server's facts, read after the peers'.
        peers: The facts of the peers of the same cluster that answered.
    """
    at = own.recorded_as_primary
    found = {name: compare(peer.recorded, at) for name, peer in peers.items()}
    ahead = [name for name, one in found.items() if one.standing is Standing.AHEAD]
    forked = [name for name, one in found.items() if one.standing is Standing.FORKED]
    # What was received from another history, or before a reset, is not what this pod may lack.
    part = (name for name, one in found.items() if one.standing in PART_OF_IT)
    received = {name: more for name in part if (more := _only_received(peers[name], at.position))}
    theirs = {name: with_received(peers[name]) for name in (*ahead, *received)}
    best = _most_advanced(own.recorded, peers, theirs)
    for name in ahead:
        yield Reason(ServerReasonCode.PEER_IS_AHEAD, _peer_ahead(name, found[name], best), name)
    agreeing = 1 + sum(agrees(peer, own) for peer in peers.values())
    for name in forked:
        if agreeing > len(forked):
            yield Reason(ServerReasonCode.PEER_OUTVOTED, _peer_outvoted(name, found[name]), name)
        else:
            yield Reason(ServerReasonCode.PEER_IS_AHEAD, _peer_forked(name, found[name]), name)
    for name, more in received.items():
        text = _peer_received(name, peers[name], more, best)
        yield Reason(ServerReasonCode.PEER_IS_AHEAD, text, name)


def _only_received(peer: ServerFacts, position: Position) -> str:
    """What a peer has received, and not applied, that is not at this position; empty if nothing."""
    unapplied = peer.unapplied
    if unapplied is None or not unapplied.beyond(position):
        return ""
    return _only_in(unapplied, position)


def agrees(peer: ServerFacts, own: ServerFacts) -> bool:
    """Whether a peer's data are a part of this pod's, and of its newest epoch."""
    newest, theirs = own.history.newest, peer.history.newest
    same = newest is None or (theirs is not None and theirs.id == newest.id)
    return same and compare(peer.recorded, own.recorded_as_primary).standing in PART_OF_IT


def _most_advanced(
    own: Recorded, peers: Mapping[str, ServerFacts], theirs: Mapping[str, Recorded]
) -> str | None:
    """The peer that has everything that this pod and the others have; None if there is none."""

    def has_all(name: str) -> bool:
        best, others = theirs[name], [own, *theirs.values()]
        if best.position != peers[name].position:
            # The heartbeats in its relay logs are not known, and positions decide.
            best, *others = map(_without_beat, (best, *others))
        return not any(compare(one, best).primary_is_older for one in others)

    return next(filter(has_all, theirs), None)


def _without_beat(found: Recorded) -> Recorded:
    return replace(found, history=replace(found.history, heartbeat=None))


def _peer_ahead(name: str, found: Comparison, best: str | None) -> str:
    return (
        f"{name} has {_more(found)} that this pod does not have: this pod's data are older (volume "
        f"from an earlier snapshot?), those of {name} end at {_at(found.replica_at)} and this "
        f"pod's at {_at(found.primary_at)}; keep the volume of {name}; {_newer_volume(best)}"
    )


def _peer_received(name: str, peer: ServerFacts, more: str, best: str | None) -> str:
    trouble = peer.status.trouble if peer.status is not None else ""
    return (
        f"{name} has received, and not applied, {more} that this pod does not have: this pod's "
        f"data are older (volume from an earlier snapshot?); keep the volume of {name}; "
        f"{_until_saved(peer, f'the server of {name}')}{trouble}; {_newer_volume(best)}"
    )


def _newer_volume(best: str | None) -> str:
    """What the volume of this pod is replaced with."""
    if best is None:
        return "give this pod its newer volume, and keep those of all pods, too"
    return (
        f"give this pod its newer volume, or a new one and then a copy of {best}'s data, if "
        f"'peerdisco mysql-recover' names {best}; restart no server before that, and keep the "
        "volume that this pod has now"
    )


def _peer_forked(name: str, found: Comparison) -> str:
    return (
        f"{name} has {_more(found)} that this pod does not have, and this pod was opened without "
        f"them at {_at(found.opened_at)}: its data were older (volume from an earlier snapshot?); "
        f"keep the volume of {name}; this pod may hold writes since then that {name} does not "
        "have, so keep its volume, too, until both are compared"
    )


def _peer_outvoted(name: str, found: Comparison) -> str:
    return (
        f"{name} has {_more(found)} that this pod and most of the pods do not have: its history "
        f"separated from theirs; keep the volume of {name} until it is known that nobody needs "
        "them"
    )


def _more(found: Comparison) -> str:
    return _transactions(found) if found.count else "a later epoch or heartbeat"
