"""What a replica wrote into its own log: whether all of it is administrative. Pure.

``FLUSH``, ``ANALYZE`` and ``OPTIMIZE`` are logged as transactions of the server on which they are
executed, and so is the statement by which a server empties a MEMORY table at the first access after
a restart. None of them changes data that the primary has, so a replica may drop them from its log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .history import Recorded
from .positions import GtidSet, MariaDBPosition, Position

__all__ = ["MOST_EVENTS", "OwnLog"]

MOST_EVENTS = 2000
"""Events that are read with one statement."""

_HARMLESS = re.compile(
    r"""(?: use \s+ `[^`]+` \s* ; \s* )?
    (?:
        flush \s+ (?: local \s+ | no_write_to_binlog \s+ )? [\w\s,`.]+
      | (?: analyze | optimize ) \s+ (?: local \s+ | no_write_to_binlog \s+ )?
        table \s+ [\w\s,`.$-]+
      | (?: truncate \s+ table | delete \s+ from ) \s+ `[^`]+` \. `[^`]+` \s*
        /\* \s generated \s by \s server [\w\s,-]* \*/
    )
    \s* ;? \s*""",
    re.IGNORECASE | re.VERBOSE,
)
_BETWEEN = frozenset({"Stop", "Rotate", "Binlog_checkpoint"})
"""Events of the log itself, which may follow the last transaction in it."""
_FRAME = re.compile(r"begin|commit(?: /\* xid=\d+ \*/)?", re.IGNORECASE)
_MARIADB = re.compile(r"(?:BEGIN )?GTID (\d+)-(\d+)-(\d+)\b")
_MYSQL = re.compile(r"SET @@SESSION\.GTID_NEXT= '([0-9a-fA-F-]{36}:\d+)'")


class OwnLog:
    """Takes the events of a replica's binary logs, the newest log first.

    Args:
        own: Everything that the replica has executed.
        primary: How far its primary is.
    """

    def __init__(self, own: Position, primary: Recorded) -> None:
        self._own = own
        self._primary = primary
        self._local: dict[str, bool] = {}
        """The transactions that the primary does not have; whether each is harmless."""
        self._current: str | None = None
        self.reaches_back = False
        """Whether no log before those that were taken holds any such transaction."""

    def take(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take some rows of ``SHOW BINLOG EVENTS``; all of one log are taken in order."""
        for event in events:
            self._take(str(event["Event_type"]), str(event["Info"]))

    def _take(self, kind: str, info: str) -> None:
        if kind in ("Gtid_list", "Previous_gtids"):
            self.reaches_back = not any(self._lacking(info.strip("[]")))
        elif kind == "Format_desc":
            self._current = None
        elif kind == "Gtid" and (found := _MARIADB.match(info) or _MYSQL.match(info)):
            gtid = "-".join(found.groups())
            self._current = gtid if any(self._lacking(gtid)) else None
            if self._current is not None:
                self._local[gtid] = True
        elif self._current is not None and not _is_harmless(kind, info):
            self._local[self._current] = False

    def _lacking(self, text: str) -> Iterator[str]:
        """The transactions among these that the primary does not have.

        MySQL goes on replicating meanwhile. What was logged after both positions were read is not
        among them.
        """
        if isinstance(self._own, GtidSet):
            logged = GtidSet.parse(text)
            later = logged.without(self._own)
            if lacking := logged.without(later).beyond(self._primary.position):
                yield lacking
        elif isinstance(self._primary.position, MariaDBPosition):
            for gtid in MariaDBPosition.parse(text, "").logged:
                if not self._primary.knows(gtid):
                    yield "-".join(map(str, gtid))

    @property
    def harmless(self) -> bool:
        """Whether all that only the replica has is in its log, and administrative."""
        if not self.reaches_back or not all(self._local.values()):
            return False
        position = self._primary.position
        if type(position) is not type(self._own):
            return False  # nothing of one family is comparable with the other one
        if isinstance(self._own, MariaDBPosition) and isinstance(position, MariaDBPosition):
            only_here = [gtid for gtid in self._own.logged if not self._primary.knows(gtid)]
            counted = all(position.has(gtid) for gtid in self._own.applied)
            replicated = [gtid for gtid in self._own.logged if self._primary.knows(gtid)]
            applied = MariaDBPosition(frozenset(), self._own.applied)
            counted = counted and all(applied.has(gtid) for gtid in replicated)
            return counted and all("-".join(map(str, gtid)) in self._local for gtid in only_here)
        return len(self._local) == self._own.count_beyond(position)


def _is_harmless(kind: str, info: str) -> bool:
    if kind == "Xid" or kind in _BETWEEN:
        return True
    return kind == "Query" and bool(_FRAME.fullmatch(info) or _HARMLESS.fullmatch(info))
