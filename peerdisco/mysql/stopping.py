"""What a replica that is refused still does: it receives nothing more. Pure."""

from __future__ import annotations

from enum import Enum

from .dialects import Dialect, Step
from .facts import ServerFacts
from .history import Standing, compare
from .objections import PART_OF_IT, against_replaying
from .status import Receiver

__all__ = ["Received", "plan_stopping", "what_was_received"]


class Received(Enum):
    """Where that came from which a replica has received, and not applied."""

    NOTHING = "nothing"
    """There is nothing that it has not applied."""
    FROM_PRIMARY = "from-primary"
    """From the primary, whose history has all that the replica has applied."""
    FROM_BEFORE = "from-before"
    """From the primary of before: it ends beyond all that the present one has, whose log it cannot
    have come from."""
    UNKNOWN = "unknown"
    """It may have come from a primary with another history."""


def what_was_received(own: ServerFacts, primary: ServerFacts) -> Received:
    """Where that came from which this replica has received, and not applied.

    A primary with an older volume sends nothing to a replica that has received more. So what a
    replica received last shows on which side of the change the rest was received, until the
    primary has written as much.

    Args:
        own: The replica's facts, read before the primary's.
        primary: The primary's facts.
    """
    unapplied = own.unapplied
    if unapplied is None:
        return Received.NOTHING
    same = own.cluster is not None and primary.cluster == own.cluster
    standing = compare(own.recorded, primary.recorded_as_primary).standing if same else None
    if own.cluster is None or standing is Standing.GAP:
        return Received.UNKNOWN
    if unapplied.ends_beyond(primary.recorded_as_primary.position):
        return Received.FROM_BEFORE
    return Received.FROM_PRIMARY if standing in PART_OF_IT else Received.UNKNOWN


def plan_stopping(
    own: ServerFacts,
    primary: ServerFacts | None = None,
    *,
    ordinal: int | None = None,
    kept: bool = False,
) -> list[Step]:
    """The steps until this server receives nothing more from its source; none if it does not.

    The applier goes on with what was received before, unless that may be of another history: when
    it has stopped too, a MariaDB replica discards it at the next start of either.

    Args:
        own: The server's facts, read before the primary's.
        primary: The primary's facts; None if it did not answer.
        ordinal: This pod's; None if not known.
        kept: Whether its receiver has not run since it was known that it had received nothing of
            another history.
    """
    status, dialect = own.status, Dialect(own.version)
    if status is None or status.stopped:
        return []
    receives = [] if status.receiver is Receiver.STOPPED else [dialect.stop_receiver()]
    if status.applier_running and _goes_on(own, primary, ordinal, kept=kept):
        return receives
    # Servers stop the applier first, which may wait for a lock.
    return [*(receives if own.unapplied is not None else ()), dialect.stop()]


def _goes_on(
    own: ServerFacts, primary: ServerFacts | None, ordinal: int | None, *, kept: bool
) -> bool:
    """Whether the applier may apply what was received, and has not applied all of it."""
    if primary is None or own.unapplied is None:
        return False
    if any(against_replaying(own, primary, ordinal)):
        return False
    return kept or what_was_received(own, primary) in (Received.FROM_PRIMARY, Received.FROM_BEFORE)
