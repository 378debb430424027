"""What may be repaired on a replica without an operator, because nothing can be lost. Pure."""

from __future__ import annotations

from dataclasses import replace

from .dialects import Dialect, Step
from .facts import ServerFacts
from .positions import MariaDBPosition

__all__ = ["has_unapplied", "plan_counting", "plan_dropping_log", "plan_marking"]


def has_unapplied(own: ServerFacts) -> bool:
    """Whether a stopped MariaDB replica has more in its log than it counts as applied.

    So it is after a crash between the two, which DDL allows, and in a copy of a primary's volume.
    What is in the log is in the data, since DDL is atomic: from MariaDB 10.6 on
    (https://mariadb.com/kb/en/atomic-ddl/).
    """
    position, status = own.position, own.status
    return (
        isinstance(position, MariaDBPosition)
        and own.version.number >= (10, 6, 0)
        and (status is None or not status.applier_running)
        and position.unapplied
    )


def plan_counting(own: ServerFacts) -> list[Step]:
    """The steps until such a replica counts as applied what is in its log; none for others."""
    if own.blank or not has_unapplied(own):
        return []
    assert isinstance(own.position, MariaDBPosition)
    dialect = Dialect(own.version)
    stop = [dialect.stop()] if own.status is not None else []
    return [*stop, dialect.count_as_applied(own.position.all_applied)]


def plan_dropping_log(own: ServerFacts) -> list[Step]:
    """The steps until a MariaDB replica, whose own log is known to be harmless, continues without.

    What it has applied is not in that log alone: ``gtid_slave_pos`` stays.
    """
    dialect = Dialect(own.version)
    assert isinstance(own.position, MariaDBPosition)
    dropped = replace(own, position=replace(own.position, logged=frozenset()), status=None)
    steps = [dialect.drop_own_log(), *plan_marking(dropped)]
    if own.status is None:
        return steps
    # The start clears the error with which the applier stopped.
    return [dialect.stop(), *steps, dialect.start()]


def plan_marking(own: ServerFacts) -> list[Step]:
    """The steps until the empty log of a MariaDB server with data says where it begins.

    So it is with a copy that holds the data and no log. A replica that starts from nothing would
    take such a log for the whole one, once this server is the primary, and follow without all that
    came before it. With the mark, the primary refuses to send it (error 1236).
    """
    position, status = own.position, own.status
    if not isinstance(position, MariaDBPosition) or position.logged or not position.applied:
        return []
    if own.blank or (status is not None and not status.stopped):
        return []
    return [Dialect(own.version).mark_log(position.applied_text)]
