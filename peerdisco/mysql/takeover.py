"""When the primary's role may move from one pod to another, from facts. Pure.

The pod that was the primary makes its server read-only first. The pod that is wanted opens its own
server when it has everything that the other one has. Neither needs the other's agreement: each
reads the other's server, and what it reads can only become truer while both wait.
"""

from __future__ import annotations

from collections.abc import Mapping

from .decisions import Unanswered
from .facts import ServerFacts
from .history import Standing, compare
from .recovery import everything, unapplied

__all__ = ["find_successor", "judge_handover", "judge_takeover"]

_MOST_BEHIND = 10
"""Seconds that the wanted pod may be behind before the primary stops taking writes for it."""

_Found = ServerFacts | Unanswered | None


def judge_handover(own: ServerFacts, own_name: str, new_name: str, new: _Found) -> str | None:
    """Why this pod, the primary, must not be made read-only for another one; None if it may.

    Args:
        own: The server's facts, read after the other one's.
        own_name: The name of its pod.
        new_name: The pod that is wanted as the primary.
        new: The facts of its server; None if it is not listed.
    """
    if not isinstance(new, ServerFacts):
        return f"{new_name} cannot be asked ({_why(new)}), so this pod stays the primary"
    status = new.status
    if status is None or not status.running or status.source_host.partition(".")[0] != own_name:
        return f"{new_name} does not replicate from this pod, so this pod stays the primary"
    standing = compare(new.recorded, own.recorded_as_primary).standing
    if standing is not Standing.PREFIX:
        return f"the data of {new_name} are not this pod's ({standing.value})"
    if status.lag is None or status.lag > _MOST_BEHIND:
        behind = "an unknown time" if status.lag is None else f"{status.lag} s"
        return f"{new_name} is {behind} behind, at most {_MOST_BEHIND} s are allowed"
    return None


def judge_takeover(own: ServerFacts, old_name: str, old: _Found, without: str = "") -> str | None:
    """Why this pod, a replica, must not be opened yet; None if it may.

    Args:
        own: The server's facts, read before the other one's.
        old_name: The pod from which it replicates: the primary until now.
        old: The facts of its server; None if it is not listed.
        without: The name of a pod that the user leaves out, with the rows that only it has.
    """
    given_up = without == old_name
    if not isinstance(old, ServerFacts):
        if given_up:
            return _waits_for_applier(own)
        return (
            f"{old_name}, the primary until now, cannot be asked ({_why(old)}): start it; if it is "
            "destroyed, restart no server until 'peerdisco mysql-recover' has named the replica "
            f"that has most; if that is this pod, write 'without {old_name}' behind the ordinal, "
            f"which loses what no replica has of it{_last_beat(own)}"
        )
    if not old.read_only:
        return f"{old_name} still takes writes; its sidecar makes it read-only first"
    if not given_up and (more := old.position.beyond(own.position)):
        return (
            f"{old_name} has transactions that this pod does not have yet ({more}); if they can "
            f"never be applied here, 'without {old_name}' behind the ordinal opens this pod "
            f"without them: keep the volume of {old_name} then, which alone has them"
        )
    # What this pod received and cannot apply is given up only where the other one has it.
    lost = given_up and everything(own).beyond(old.position)
    return _waits_for_applier(own) if lost else None


def _waits_for_applier(own: ServerFacts) -> str | None:
    """Why what this pod has received must be applied first; None if it is.

    A server that is opened discards its relay logs, and they may have what no other pod has.
    """
    left = unapplied(own)
    if not left:
        return None
    assert own.status is not None
    stopped = (
        "" if own.status.applier_running else f", and its applier has stopped{own.status.trouble}"
    )
    return (
        f"this pod has received transactions that it has not applied yet ({left}){stopped}: it is "
        "opened when it has applied them; do not restart its server or its replication, which "
        "would discard them; if its applier waits for a lock, end the session that holds it"
    )


def find_successor(own: ServerFacts, peers: Mapping[str, Unanswered | ServerFacts]) -> str | None:
    """The pod that was opened after this one, or after the primary from which this one replicates.

    So it is if a second move is wanted before this pod followed the first one, or if the role is
    wanted back by then: that pod keeps the role until this one has everything that it has. Which
    data it has is judged before it is followed.

    Args:
        own: The facts of this pod's server, read before the others'.
        peers: The facts of the other pods' servers, by the pods' names.
    """
    newest = own.history.newest
    for name, found in peers.items():
        if not isinstance(found, ServerFacts) or found.read_only or found.status is not None:
            continue
        epoch = found.history.newest
        later = epoch is not None and (newest is None or epoch.number > newest.number)
        if later and found.cluster == own.cluster:
            return name
    return None


def _why(found: Unanswered | None) -> str:
    return "it is not listed" if found is None else found.detail


def _last_beat(own: ServerFacts) -> str:
    beat = own.history.heartbeat
    return "" if beat is None else f", after {beat.at:%Y-%m-%d %H:%M:%S} UTC"
