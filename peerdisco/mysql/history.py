"""The history of the cluster's data: who was opened when, and where that left the one before. Pure.

Two sets of transactions, compared at one moment, do not show that a primary came back with an older
volume: as soon as it has written enough, its numbers pass those of its replicas. The history is in
the data, so that a restored volume brings its own, which cannot grow into the other one.

Each time that a primary is opened, an *epoch* begins. Its row says at which position the epoch
before it ended *in these data*. A replica that has more of that epoch than this has another
history, whatever either of the two writes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from .positions import MariaDBPosition, Position

__all__ = ["Comparison", "Epoch", "Heartbeat", "History", "Recorded", "Standing", "compare"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time from one opening of a primary to the next.

    Attributes:
        number: 1 for the first; each has the next number, also on the two sides of a fork.
        id: Chosen at random.
        predecessor: The id of the epoch before it; None for the first.
        ordinal: Of the pod that was opened.
        server: Its `ServerFacts.origin`, which marks the transactions that it wrote.
        opened_at: When, by its clock, in UTC.
        left_position: Everything that it had executed at that moment: where it left the epoch
            before. If the log was reset, the last position that was known before that.
        left_beat: The number of the last heartbeat of the epoch before that it had; None if it
            had none.
        left_beat_at: When that was written, by the clock of the primary of that time.
        log_reset: Whether its binary log was reset before this epoch, so that positions before and
            after cannot be compared, and every replica of before needs a copy.
    """

    number: int
    id: str
    predecessor: str | None
    ordinal: int
    server: str
    opened_at: datetime
    left_position: Position
    left_beat: int | None = None
    left_beat_at: datetime | None = None
    log_reset: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The row that an open primary renews every second, and replicas have from it.

    Attributes:
        epoch: The id of the epoch in which it was written.
        counter: One more each time, through all epochs.
        at: When, by the primary's clock, in UTC.
        position: Everything that the primary had executed before it; None if not recorded.
        log_number: The number in the name of the primary's binary log; None if not recorded.
    """

    epoch: str
    counter: int
    at: datetime
    position: Position | None = None
    log_number: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What a server's data say of their own history.

    Attributes:
        epochs: In order; the newest ones, if there are very many. Empty before the first primary
            was opened by a version that keeps a history.
        heartbeat: The last one that it has; None if it has none.
    """

    epochs: tuple[Epoch, ...] = ()
    heartbeat: Heartbeat | None = None

    @property
    def newest(self) -> Epoch | None:
        return self.epochs[-1] if self.epochs else None

    def get(self, epoch_id: str) -> Epoch | None:
        """The epoch with this id, if it is part of this history."""
        return next((epoch for epoch in self.epochs if epoch.id == epoch_id), None)

    def after(self, epoch: Epoch | None) -> tuple[Epoch, ...]:
        """The epochs that came after one of them; all for None."""
        number = 0 if epoch is None else epoch.number
        return tuple(later for later in self.epochs if later.number > number)

    def changed_from(self, known: History) -> tuple[Epoch, ...]:
        """The epochs of an earlier state of this history that were deleted or changed since.

        The oldest may be deleted: only a replica that is as old needs them.
        """
        oldest = self.epochs[0].number if self.epochs else 0
        return tuple(
            epoch
            for epoch in known.epochs
            if epoch.number >= oldest and self.get(epoch.id) != epoch
        )

    def has_lost_beat(self, known: History) -> bool:
        """Whether the heartbeat of an earlier state of this history was deleted, or is another."""
        before, beat = known.heartbeat, self.heartbeat
        newest = known.newest
        if before is None or newest is None or before.epoch != newest.id:
            return False
        return beat is None or beat.epoch != before.epoch

    @property
    def has_log_reset(self) -> bool:
        """Whether the log does not reach back to the beginning, because it was reset since."""
        return any(epoch.log_reset for epoch in self.epochs)

    @property
    def has_gap(self) -> bool:
        """Whether a heartbeat came from an epoch whose beginning is missing."""
        beat = self.heartbeat
        return beat is not None and self.get(beat.epoch) is None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A server's history, and how far it is.

    Attributes:
        history: What its data say.
        position: Everything that it has executed.
        origin: What marks the transactions that it wrote itself; see `ServerFacts.origin`.
        log_number: The number in the name of its binary log; None if not known.
        log_replaced: Whether its binary log is known to be another one than at the last heartbeat;
            see `log_mark`.
    """

    history: History
    position: Position
    origin: str
    log_number: int | None = None
    log_replaced: bool = False

    @property
    def log_was_reset(self) -> bool:
        """Whether its binary log was reset since the last heartbeat.

        It is behind that, has a lower number, or is another one.
        """
        beat = self.history.heartbeat
        if beat is None:
            return False
        epoch = self.history.get(beat.epoch)
        if epoch is None:
            return False
        # The primary's own transactions alone: others it may have had, and this server not.
        if beat.position is not None and beat.position.beyond(self.position, of={epoch.server}):
            return True
        if not self._keeps_log_of(beat, epoch):
            return False
        if self.log_number is None or beat.log_number is None:
            return self.log_replaced
        return self.log_replaced or self.log_number < beat.log_number

    @property
    def lost_its_log(self) -> bool:
        """Whether its log was reset while it was the primary: it wrote the last heartbeat."""
        beat = self.history.heartbeat
        epoch = self.history.get(beat.epoch) if beat is not None else None
        return epoch is not None and epoch.server == self.origin and self.log_was_reset

    def knows(self, gtid: tuple[int, int, int]) -> bool:
        """Whether it has this transaction of a replica's own log: domain, server, number.

        MariaDB counts all servers' transactions together, so that a server which knows only the
        last of those that it applied seems to have each one with a lower number. Those that no
        primary wrote have to be in its own log.
        """
        position = self.position
        assert isinstance(position, MariaDBPosition)
        epochs = self.history.epochs
        if not position.has(gtid) or not epochs or position.has_logged(gtid):
            return position.has(gtid)
        before = epochs[0].left_position
        written = str(gtid[1]) in {epoch.server for epoch in epochs}
        return written or (isinstance(before, MariaDBPosition) and before.has(gtid))

    @property
    def is_masked(self) -> bool:
        """Whether the last transaction that it applied, of some domain, was no primary's.

        What is below it is then not known on MariaDB: numbers are counted over all servers.
        """
        primaries = {epoch.server for epoch in self.history.epochs}
        applied = self.position.applied_text.split(",")
        return any(gtid.split("-")[1] not in primaries for gtid in applied if gtid)

    def _keeps_log_of(self, beat: Heartbeat, epoch: Epoch) -> bool:
        """Whether its logs are those of the server that wrote the heartbeat.

        Another server's have other numbers. A volume that was copied from a replica has the
        replica's logs, also under the name of the primary.
        """
        position = beat.position
        return epoch.server == self.origin and (
            position is None or position.applied_text == self.position.applied_text
        )


class Standing(Enum):
    """How the history of a replica stands to that of a primary."""

    PREFIX = "prefix"
    """The primary has everything that the replica has: it may follow."""
    AHEAD = "ahead"
    """The replica has transactions of a primary, or epochs, that the primary does not have, and
    has everything that came before them: the primary's data are older."""
    FORKED = "forked"
    """Both continued from a common point: the replica has transactions that the primary lost, and
    the primary was opened without them."""
    LOG_RESET = "log-reset"
    """The primary's binary log was reset, so that its positions say nothing to this replica."""
    LOCAL_WRITES = "local-writes"
    """The replica has transactions that no primary wrote."""
    GAP = "gap"
    """The replica has applied a part of an epoch without its beginning."""
    LOG_LOST = "log-lost"
    """The replica was the primary, and its own binary log was reset then, so that its position does
    not show what it has."""
    TOO_OLD = "too-old"
    """The replica's newest epoch is older than those that the primary's history was read from."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a replica's history stands to a primary's, with the facts.

    Attributes:
        standing: The result.
        common: The last epoch that both have; None if there is none.
        transactions: Those that only the replica has, in words; empty if none are known.
        count: How many they are; 0 if not known. If the log was reset, those after the last
            position that is known from before that.
        replica_at: When the replica's last heartbeat was written; None if it has none.
        primary_at: When the last heartbeat was written that the primary has of the common epoch;
            None if it has none.
        opened_at: When the primary was opened after that point; None if it was not. If the log was
            reset, when it was opened after that; None if it was not yet.
    """

    standing: Standing
    common: Epoch | None = None
    transactions: str = ""
    count: int = 0
    replica_at: datetime | None = None
    primary_at: datetime | None = None
    opened_at: datetime | None = None

    @property
    def primary_is_older(self) -> bool:
        """Whether the replica holds transactions of a primary that the primary does not have."""
        return self.standing in (Standing.AHEAD, Standing.FORKED)


def compare(replica: Recorded, primary: Recorded) -> Comparison:
    """How the history of a replica stands to that of a primary.

    The replica's facts must have been read before the primary's.
    """
    return next(_differences(replica, primary), None) or _comparison(
        Standing.PREFIX, replica, primary, replica.history.newest
    )


def _differences(replica: Recorded, primary: Recorded) -> Iterator[Comparison]:
    """What keeps the replica from following; the most important first."""
    mine, theirs = replica.history, primary.history
    newest = mine.newest
    if mine.has_gap:
        yield _comparison(Standing.GAP, replica, primary, newest)
    if newest is not None and theirs.get(newest.id) is None:
        yield _other_epochs(replica, primary, newest)
    if theirs.epochs and newest is None and theirs.epochs[0].number > 1:
        yield _comparison(Standing.TOO_OLD, replica, primary, None)
    later = theirs.after(newest)
    yield from _beyond(replica, primary, newest, later[0] if later else None)
    if replica.lost_its_log:
        yield _comparison(Standing.LOG_LOST, replica, primary, newest)
    if primary.log_was_reset or any(epoch.log_reset for epoch in later):
        last_known = _before_reset(primary, later)
        yield _comparison(Standing.LOG_RESET, replica, primary, newest, last_known)
    limit = later[0].left_position if later else primary.position
    if replica.position.beyond(limit):
        yield _comparison(Standing.LOCAL_WRITES, replica, primary, newest, limit)
    if isinstance(replica.position, MariaDBPosition) and (
        own := replica.position.logged_beyond(primary.knows)
    ):
        found = _comparison(Standing.LOCAL_WRITES, replica, primary, newest)
        yield replace(found, transactions=own)


def _before_reset(primary: Recorded, later: tuple[Epoch, ...]) -> Position | None:
    """The last position that is known from before the binary log was reset."""
    for epoch in later:
        if epoch.log_reset:
            return epoch.left_position
    beat = primary.history.heartbeat
    return beat.position if beat is not None else None


def _other_epochs(replica: Recorded, primary: Recorded, newest: Epoch) -> Comparison:
    """The replica's newest epoch is not one of the primary's."""
    mine, theirs = replica.history, primary.history
    if theirs.epochs and newest.number < theirs.epochs[0].number:
        return _comparison(Standing.TOO_OLD, replica, primary, None)
    common = next((epoch for epoch in reversed(theirs.epochs) if mine.get(epoch.id)), None)
    standing = Standing.AHEAD if common is theirs.newest else Standing.FORKED
    return _comparison(standing, replica, primary, common, primary.position)


def _beyond(
    replica: Recorded, primary: Recorded, newest: Epoch | None, successor: Epoch | None
) -> Iterator[Comparison]:
    """What the replica has of its newest epoch, and the primary does not have."""
    standing = Standing.AHEAD if successor is None else Standing.FORKED
    limit = primary.position if successor is None else successor.left_position
    if _later_beat(replica, primary, newest, successor):
        yield _comparison(standing, replica, primary, newest, limit)
    if primary.log_was_reset if successor is None else successor.log_reset:
        return  # the positions of before the reset end with its last heartbeat
    excess = (
        replica.position.beyond(limit, but_of=replica.origin)
        if newest is None
        else replica.position.beyond(limit, of={newest.server})
    )
    if excess:
        if newest is not None and _may_be_after_reset(replica, primary, newest):
            standing = Standing.LOG_RESET
        yield _comparison(standing, replica, primary, newest, limit)


def _may_be_after_reset(replica: Recorded, primary: Recorded, newest: Epoch) -> bool:
    """Whether transactions of the replica's newest epoch may be of a later one.

    A server whose log was reset gives its numbers again. What a replica received right after that
    looks like transactions that the primary lost, of the second before its next heartbeat.
    """
    beat = replica.history.heartbeat
    if beat is None or beat.epoch != newest.id:
        return False
    resets = {later.server for later in primary.history.after(newest) if later.log_reset}
    if primary.log_was_reset:
        resets.add(primary.origin)
    return newest.server in resets


def _later_beat(
    replica: Recorded, primary: Recorded, newest: Epoch | None, successor: Epoch | None
) -> bool:
    """Whether the replica has a later heartbeat of its newest epoch than the primary."""
    beat, theirs = replica.history.heartbeat, primary.history.heartbeat
    if beat is None or newest is None or beat.epoch != newest.id:
        return False
    if successor is not None:
        return successor.left_beat is None or beat.counter > successor.left_beat
    if theirs is None or theirs.epoch != newest.id:
        return True
    # With semi-synchronous replication a replica may show a row before the primary does, which has
    # it in its position by then.
    ahead = 0 if replica.is_masked or primary.is_masked else 1
    return beat.counter > theirs.counter + ahead


def _comparison(
    standing: Standing,
    replica: Recorded,
    primary: Recorded,
    common: Epoch | None,
    limit: Position | None = None,
) -> Comparison:
    mine, theirs = replica.history.heartbeat, primary.history.heartbeat
    later = primary.history.after(common)
    at = theirs.at if theirs is not None else None
    opened = [one for one in later if one.log_reset or standing is not Standing.LOG_RESET]
    return Comparison(
        standing,
        common,
        replica.position.beyond(limit) if limit is not None else "",
        replica.position.count_beyond(limit) if limit is not None else 0,
        mine.at if mine is not None else None,
        later[0].left_beat_at if later else at,
        opened[0].opened_at if opened else None,
    )
