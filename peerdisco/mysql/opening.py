"""The steps that open a primary, and begin an epoch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .dialects import Dialect, Step
from .facts import ServerFacts
from .history import History
from .literals import literal
from .repairs import plan_marking
from .tables import (
    CLUSTER_SCHEMA,
    CLUSTER_TABLE,
    EPOCHS_TABLE,
    HEARTBEAT_TABLE,
    Opening,
    restore,
    restore_beat,
)

__all__ = ["FIRST_LOG", "begins_epoch", "plan_after_reset", "plan_primary", "plan_restoring"]


def plan_primary(
    own: ServerFacts,
    cluster_id: str,
    now: str,
    epoch_id: str,
    ordinal: int,
    *,
    before_epoch: Sequence[Step] = (),
    before_open: Sequence[Step] = (),
    beats: bool = True,
) -> list[Step]:
    """The steps until this server, which may be the primary, takes writes; none if it does.

    A plan may be interrupted after any step: the next plan continues from there. Writes are
    allowed last.

    Args:
        own: The server's facts.
        cluster_id: For a cluster that is made now.
        now: Date and time of it, ``YYYY-MM-DD HH:MM:SS`` in UTC.
        epoch_id: For the epoch that begins now, if one does.
        ordinal: The pod's.
        before_epoch: Steps that come before an epoch is written on a server that is read-only.
        before_open: Steps that come immediately before that writes are allowed.
        beats: Whether the heartbeat may be renewed; not if the account lacks the privilege.
    """
    dialect = Dialect(own.version)
    steps: list[Step] = []
    if own.status is not None:
        steps += [dialect.stop(), dialect.forget_source()]
    if own.cluster is not None:
        steps += plan_marking(replace(own, status=None))
    if own.closed and begins_epoch(own):
        steps += dialect.open_to_some()
    # The cluster's history begins here: no replica needs to have seen what its image's
    # initialisation logged, and each has done the same itself. What a run that was cut off has made
    # is part of it: a log without its table stops every replica.
    fresh = own.cluster is None and own.blank and not own.begun
    if fresh:
        steps += dialect.forget_own_log()
    if own.cluster is None:
        origin = "blank" if own.blank else "adopted"
        steps += [
            Step("making the cluster's schema", f"CREATE DATABASE IF NOT EXISTS {CLUSTER_SCHEMA}"),
            Step("making the cluster's table", CLUSTER_TABLE),
            Step(
                "writing the cluster's row",
                f"INSERT INTO {CLUSTER_SCHEMA}.cluster (pin, id, origin, created_at) VALUES "  # noqa: S608
                f"(1, {literal(cluster_id)}, {literal(origin)}, {literal(now)})",
            ),
        ]
    if own.recorded.log_was_reset:
        # Whether commits wait is not known here, and on a closed server none does.
        steps += plan_after_reset(own, epoch_id, ordinal, semi_sync=not own.read_only, beats=beats)
    elif begins_epoch(own):
        log_number = 1 if fresh else own.log_number
        opening = Opening(epoch_id, ordinal, own.origin, own.flavour, log_number=log_number)
        steps += before_epoch if own.read_only else ()
        steps += _epoch_steps(own, opening, beats=beats)
    if own.read_only:
        steps += [*before_open, dialect.open()]
    return steps


def plan_after_reset(
    own: ServerFacts, epoch_id: str, ordinal: int, *, semi_sync: bool = False, beats: bool = True
) -> list[Step]:
    """The steps after the binary log of a primary was reset.

    Nothing of it is logged: each replica needs a copy anyway, and with semi-synchronous replication
    a logged transaction would wait for one of them, for ever. So would the beginning of another
    log, behind a client's transaction that waits: then the log keeps its number until the server is
    opened the next time.

    The row of the heartbeat changes with the epoch, in one transaction, so that a crash leaves
    either the reset or the epoch that reports it. No replica of before has the new row: it stops at
    the next heartbeat.

    Args:
        own: The server's facts.
        epoch_id: For the epoch.
        ordinal: The pod's.
        semi_sync: Whether transactions may wait for an acknowledgement.
        beats: Whether the heartbeat may be renewed; not if the account lacks the privilege.
    """
    dialect = Dialect(own.version)
    opening = Opening(epoch_id, ordinal, own.origin, own.flavour, True, own.log_number)
    epoch = _epoch_transaction(own, opening, beats=beats or own.history.heartbeat is None)
    logs = [] if semi_sync else _next_logs(dialect, opening)
    return [*_tables(own), *dialect.unlogged(*epoch), *logs]


def plan_restoring(own: ServerFacts, known: History) -> list[Step]:
    """The steps after somebody deleted or changed the history on a primary; none if nobody did.

    The deletion is in the log, so that replicas have it too, and so is what is restored.

    Args:
        own: The facts of the primary's server, which takes writes.
        known: Its history when the primary was last found to be the right one.
    """
    steps: list[Step] = []
    if changed := own.history.changed_from(known):
        steps += [Step(_RESTORING, EPOCHS_TABLE)]
        steps += [Step(_RESTORING, restore(epoch)) for epoch in changed]
    beat = known.heartbeat
    if beat is not None and own.history.has_lost_beat(known):
        steps += [
            Step(_RESTORING, HEARTBEAT_TABLE),
            Step(_RESTORING, restore_beat(own.flavour, beat, own.log_number)),
        ]
    return steps


_RESTORING = "writing rows of the history again, which somebody deleted or changed"

FIRST_LOG = 4
"""The least number of a primary's binary log. One that was reset begins with 1 again, and has a
lower number even after a restart or two."""


def begins_epoch(own: ServerFacts) -> bool:
    """Whether an epoch begins when this server, which may be the primary, is opened or confirmed.

    Also if it is open already, but may have been restarted since its last heartbeat, with another
    volume, or if the row of its epoch was deleted.
    """
    newest, beat = own.history.newest, own.history.heartbeat
    return (
        own.read_only
        or newest is None
        or newest.server != own.origin
        or own.recorded.log_was_reset
        or own.history.has_gap
        or (beat is not None and beat.log_number != own.log_number)
    )


def _epoch_steps(own: ServerFacts, opening: Opening, *, beats: bool) -> list[Step]:
    """The steps that begin an epoch. All of it is one transaction, so that no replica has a part.

    The heartbeat comes first in it: a replica with another one stops there, before it gets the
    epoch.
    """
    dialect, history = Dialect(own.version), own.history
    steps = _tables(own)
    if more := _next_logs(dialect, opening):
        steps += more
        opening = replace(opening, log_number=FIRST_LOG)
    beats = beats or history.heartbeat is None
    steps += _epoch_transaction(own, opening, beats=beats)
    if beats and not own.read_only:
        steps.append(Step(_BEGINNING, opening.settle()))
    return steps


_BEGINNING = "beginning an epoch"


def _tables(own: ServerFacts) -> list[Step]:
    steps = []
    if own.history.newest is None:
        steps.append(Step("making the table of the epochs", EPOCHS_TABLE))
    if own.history.heartbeat is None:
        steps.append(Step("making the table of the heartbeat", HEARTBEAT_TABLE))
    return steps


def _next_logs(dialect: Dialect, opening: Opening) -> list[Step]:
    """The steps until the number of the log is not one that a log has after a reset."""
    if opening.log_number is None or opening.log_number >= FIRST_LOG:
        return []
    return [dialect.next_log()] * (FIRST_LOG - opening.log_number)


def _epoch_transaction(own: ServerFacts, opening: Opening, *, beats: bool) -> list[Step]:
    sql = ["START TRANSACTION"]
    if beats:
        sql.append(opening.beat(own.history))
    sql += [opening.insert(own.history), "COMMIT"]
    return [Step(_BEGINNING, statement) for statement in sql]
