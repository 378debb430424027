"""What a server has executed, as GTIDs, and the difference between two of them. Pure.

MariaDB: https://mariadb.com/kb/en/gtid/. MySQL:
https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["GtidSet", "MariaDBPosition", "Position", "parse_position"]

_MOST_LISTED = 5


class Position(Protocol):
    """Everything that a server has executed."""

    @property
    def empty(self) -> bool:
        """Whether it has executed nothing that counts."""
        ...

    @property
    def text(self) -> str:
        """The same as text, which ``parse_position`` reads."""
        ...

    @property
    def applied_text(self) -> str:
        """The part of it that does not change on a primary: what it applied as a replica.

        Empty on MySQL, which does not tell the two apart.
        """
        ...

    def beyond(
        self, other: Position, *, but_of: str = "", of: Collection[str] | None = None
    ) -> str:
        """The transactions that only this one has, in words; empty if there are none.

        Args:
            other: The other one.
            but_of: Leave out what this server wrote; see `ServerFacts.origin`.
            of: Only what these servers wrote, or may have written; None for all.
        """
        ...

    def count_beyond(self, other: Position) -> int:
        """How many transactions only this one has."""
        ...

    def with_more(self, text: str) -> Position:
        """This position with the transactions of another one, as the server writes it."""
        ...


def parse_position(text: str) -> Position:
    """A position of either family, from its text.

    Raises:
        ValueError: It is neither.
    """
    logged, bar, applied = text.partition("|")
    return MariaDBPosition.parse(logged, applied) if bar else GtidSet.parse(text)


@dataclass(frozen=True, slots=True)
class MariaDBPosition:
    """A MariaDB server's position.

    Attributes:
        logged: ``gtid_binlog_state``: of each domain and server, the last number in its own log.
        applied: ``gtid_slave_pos``: of each domain, the last transaction that was applied. What
            was before that in the domain is there too, even where the own log does not have it,
            as after a copy from another server.
    """

    logged: frozenset[tuple[int, int, int]]
    applied: frozenset[tuple[int, int, int]]

    @classmethod
    def parse(cls, binlog_state: str, slave_pos: str) -> MariaDBPosition:
        """From the two variables.

        Raises:
            ValueError: One of them is not a list of ``DOMAIN-SERVER-NUMBER``.
        """
        return cls(frozenset(_mariadb_gtids(binlog_state)), frozenset(_mariadb_gtids(slave_pos)))

    @property
    def empty(self) -> bool:
        return not self.logged and not self.applied

    @property
    def text(self) -> str:
        return f"{_written(self.logged)}|{self.applied_text}"

    @property
    def applied_text(self) -> str:
        return _written(self.applied)

    @property
    def unapplied(self) -> bool:
        """Whether its own log is beyond what it counts as applied."""
        return any(number > self._applied_number(domain) for domain, _, number in self.logged)

    @property
    def all_applied(self) -> str:
        """``gtid_slave_pos`` with all that is in its own log."""
        last = {gtid[0]: gtid for gtid in sorted(self.logged | self.applied, key=lambda g: g[2])}
        return _written(frozenset(last.values()))

    def _applied_number(self, domain: int) -> int:
        return max((number for d, _, number in self.applied if d == domain), default=0)

    def beyond(
        self, other: Position, *, but_of: str = "", of: Collection[str] | None = None
    ) -> str:
        if not isinstance(other, MariaDBPosition):
            return "transactions of another kind of server"
        lacking = [
            gtid
            for gtid in sorted(self.logged | self.applied)
            if str(gtid[1]) != but_of and not other.has(gtid)
        ]
        if of is not None:
            lacking = [gtid for gtid in lacking if str(gtid[1]) in of or self._hides(gtid, other)]
        return _few([_gtid(gtid) for gtid in lacking])

    def count_beyond(self, other: Position) -> int:
        if not isinstance(other, MariaDBPosition):
            return 0
        lacking = {gtid[0] for gtid in self.logged | self.applied if not other.has(gtid)}
        return sum(
            max(self.last_number(domain) - other.last_number(domain), 1) for domain in lacking
        )

    def _hides(self, gtid: tuple[int, int, int], other: MariaDBPosition) -> bool:
        """Whether transactions of other servers below this one may be missing in the other one.

        A copy knows only the last transaction of each domain that its source had applied.
        """
        domain, _, number = gtid
        return gtid in self.applied and other.last_number(domain) < number - 1

    def last_number(self, domain: int) -> int:
        """The number of the last transaction in a domain; 0 if it has none."""
        return max((n for d, _, n in self.logged | self.applied if d == domain), default=0)

    def with_more(self, text: str) -> MariaDBPosition:
        """This position with what is received in addition, as ``Gtid_IO_Pos`` has it."""
        return MariaDBPosition(self.logged, self.applied | frozenset(_mariadb_gtids(text)))

    def has(self, gtid: tuple[int, int, int]) -> bool:
        """Whether it has executed this transaction: domain, server, number."""
        domain, server, number = gtid
        return any(d == domain and s == server and n >= number for d, s, n in self.logged) or any(
            d == domain and n >= number for d, _, n in self.applied
        )


def _mariadb_gtids(text: str) -> Iterator[tuple[int, int, int]]:
    for part in filter(None, (part.strip() for part in text.split(","))):
        domain, server, number = part.split("-")
        yield int(domain), int(server), int(number)


def _gtid(gtid: tuple[int, int, int]) -> str:
    return "-".join(map(str, gtid))


def _written(gtids: frozenset[tuple[int, int, int]]) -> str:
    return ",".join(map(_gtid, sorted(gtids)))


_INTERVAL = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class GtidSet:
    """A MySQL server's ``gtid_executed``.

    Attributes:
        intervals: Source (its UUID, and a tag where there is one) to the first and the last number
            of each gapless run, in order.
    """

    intervals: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """From ``UUID[:TAG]:1-5:7,...``.

        Raises:
            ValueError: It is not of that form.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            uuid, *rest = part.lower().split(":")
            source = uuid
            for piece in map(str.strip, rest):
                run = _INTERVAL.fullmatch(piece)
                if run is None:
                    source = f"{uuid}:{piece}"  # a tag (MySQL 8.3)
                    continue
                found.setdefault(source, []).append((int(run[1]), int(run[2] or run[1])))
            if not rest:
                raise ValueError(f"no GTID set: {text!r}")
        return cls(tuple((source, tuple(sorted(runs))) for source, runs in sorted(found.items())))

    def with_more(self, text: str) -> GtidSet:
        """This set and another one, as text."""
        return GtidSet.parse(f"{self.text},{text}")

    def without(self, other: GtidSet) -> GtidSet:
        """What is left of this set without another one."""
        runs = [f"{source}:{first}-{last}" for source, first, last in self._lacking(other)]
        return GtidSet.parse(",".join(runs))

    @property
    def empty(self) -> bool:
        return not self.intervals

    @property
    def text(self) -> str:
        return ",".join(
            f"{source}:" + ":".join(f"{first}-{last}" for first, last in runs)
            for source, runs in self.intervals
        )

    def beyond(
        self, other: Position, *, but_of: str = "", of: Collection[str] | None = None
    ) -> str:
        if not isinstance(other, GtidSet):
            return "transactions of another kind of server"
        lacking = []
        for source, first, last in self._lacking(other):
            server = source.partition(":")[0]
            if server != but_of.lower() and (of is None or server in of):
                lacking.append(f"{source}:{first}" + (f"-{last}" if last > first else ""))
        return _few(lacking)

    def count_beyond(self, other: Position) -> int:
        if not isinstance(other, GtidSet):
            return 0
        return sum(last - first + 1 for _, first, last in self._lacking(other))

    @property
    def applied_text(self) -> str:
        return ""

    def _lacking(self, other: GtidSet) -> Iterator[tuple[str, int, int]]:
        theirs = dict(other.intervals)
        for source, runs in self.intervals:
            for first, last in _without(runs, theirs.get(source, ())):
                yield source, first, last


def _without(
    runs: tuple[tuple[int, int], ...], taken: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    """What is left of the runs without those that are taken away; both in order."""
    for run_first, last in runs:
        first = run_first
        for taken_first, taken_last in taken:
            if taken_last < first:
                continue
            if taken_first > last:
                break
            if taken_first > first:
                yield first, taken_first - 1
            first = taken_last + 1
        if first <= last:
            yield first, last


def _few(lacking: list[str]) -> str:
    listed = ", ".join(lacking[:_MOST_LISTED])
    more = len(lacking) - _MOST_LISTED
    return f"{listed} and {more} more" if more > 0 else listed
