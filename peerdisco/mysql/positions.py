"""What a server has executed, as GTIDs, and the difference between two of them. Pure.

MariaDB: https://mariadb.com/kb/en/gtid/. MySQL:
https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

__all__ = ["LONGEST", "GtidSet", "MariaDBPosition", "Position", "parse_position"]

LONGEST = 1 << 16
"""Characters of a position that are read. That of a server that has had a thousand sources has
50,000; this many are read in 10 ms, and compared in less."""

_MOST_LISTED = 5
_Key = TypeVar("_Key")


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

    def without(self, other: Position) -> Position:
        """What is left of this position without the transactions of another one."""
        ...

    def ends_beyond(self, other: Position) -> bool:
        """Whether it ends later than the other one, in each domain (MariaDB) or of each source.

        Not if it is empty.
        """
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
    _logged: Mapping[tuple[int, int], int] = field(init=False, repr=False, compare=False)
    _applied: Mapping[int, int] = field(init=False, repr=False, compare=False)
    _last: Mapping[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the last numbers once: whoever compares looks up each transaction."""
        logged = _highest(((domain, server), number) for domain, server, number in self.logged)
        applied = _highest((domain, number) for domain, _, number in self.applied)
        last = _highest((domain, number) for domain, _, number in self.logged | self.applied)
        object.__setattr__(self, "_logged", logged)
        object.__setattr__(self, "_applied", applied)
        object.__setattr__(self, "_last", last)

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
        return any(number > self._applied.get(domain, 0) for domain, _, number in self.logged)

    @property
    def all_applied(self) -> str:
        """``gtid_slave_pos`` with all that is in its own log."""
        last = {gtid[0]: gtid for gtid in sorted(self.logged | self.applied, key=lambda g: g[2])}
        return _written(frozenset(last.values()))

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
        return self._last.get(domain, 0)

    def with_more(self, text: str) -> MariaDBPosition:
        """This position with what is received in addition, as ``Gtid_IO_Pos`` has it."""
        return MariaDBPosition(self.logged, self.applied | frozenset(_mariadb_gtids(text)))

    def logged_beyond(self, known: Callable[[tuple[int, int, int]], bool]) -> str:
        """The last transactions in its own log that are not known, in words."""
        return _few([_gtid(gtid) for gtid in sorted(self.logged) if not known(gtid)])

    def has_logged(self, gtid: tuple[int, int, int]) -> bool:
        """Whether its own log has this transaction: domain, server, number."""
        domain, server, number = gtid
        return self._logged.get((domain, server), -1) >= number

    def without(self, other: Position) -> MariaDBPosition:
        if not isinstance(other, MariaDBPosition):
            return self
        left = (gtid for gtid in self.logged | self.applied if not other.has(gtid))
        return MariaDBPosition(frozenset(), frozenset(left))

    def ends_beyond(self, other: Position) -> bool:
        if not isinstance(other, MariaDBPosition):
            return not self.empty
        last = self._last.items()
        return bool(last) and all(number > other.last_number(domain) for domain, number in last)

    def has(self, gtid: tuple[int, int, int]) -> bool:
        """Whether it has executed this transaction: domain, server, number."""
        domain, _, number = gtid
        return self.has_logged(gtid) or self._applied.get(domain, -1) >= number


def _highest(found: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    """The highest number of each key."""
    highest: dict[_Key, int] = {}
    for key, number in found:
        if number > highest.get(key, -1):
            highest[key] = number
    return highest


_MARIADB_GTID = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")


def _mariadb_gtids(text: str) -> Iterator[tuple[int, int, int]]:
    for part in filter(None, (part.strip() for part in _of_bounded_length(text).split(","))):
        found = _MARIADB_GTID.fullmatch(part)
        if found is None:
            raise ValueError(f"no GTID of MariaDB: {part[:_SHOWN]!r}")
        yield int(found[1]), int(found[2]), int(found[3])


def _of_bounded_length(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(f"a position of {len(text)} characters, more than {LONGEST}")
    return text


def _gtid(gtid: tuple[int, int, int]) -> str:
    return "-".join(map(str, gtid))


def _written(gtids: frozenset[tuple[int, int, int]]) -> str:
    return ",".join(map(_gtid, sorted(gtids)))


_SHOWN = 80
"""Characters of what is refused that are shown."""
_SOURCE = re.compile(r"[0-9a-f-]{1,36}")
_INTERVAL = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")


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
        for part in filter(None, (part.strip() for part in _of_bounded_length(text).split(","))):
            uuid, *rest = part.lower().split(":")
            if not rest or not _SOURCE.fullmatch(uuid):
                raise ValueError(f"no GTID set: {part[:_SHOWN]!r}")
            runs = None
            for piece in map(str.strip, rest):
                run = _INTERVAL.fullmatch(piece)
                if run is not None:
                    runs = found.setdefault(uuid, []) if runs is None else runs
                    runs.append((int(run[1]), int(run[2] or run[1])))
                elif _TAG.fullmatch(piece):  # MySQL 8.3
                    runs = found.setdefault(f"{uuid}:{piece}", [])
                else:
                    raise ValueError(f"no GTID set: {piece[:_SHOWN]!r}")
        return cls._of(found)

    @classmethod
    def _of(cls, runs: Mapping[str, list[tuple[int, int]]]) -> GtidSet:
        """From the runs of each source, in any order."""
        return cls(tuple((source, _joined(its)) for source, its in sorted(runs.items()) if its))

    def with_more(self, text: str) -> GtidSet:
        """This set and another one, as text."""
        found = {source: list(runs) for source, runs in self.intervals}
        for source, runs in GtidSet.parse(text).intervals:
            found.setdefault(source, []).extend(runs)
        return self._of(found)

    def without(self, other: Position) -> GtidSet:
        if not isinstance(other, GtidSet):
            return self
        found: dict[str, list[tuple[int, int]]] = {}
        for source, first, last in self._lacking(other):
            found.setdefault(source, []).append((first, last))
        return self._of(found)

    def ends_beyond(self, other: Position) -> bool:
        if not isinstance(other, GtidSet):
            return not self.empty
        ends = {source: runs[-1][1] for source, runs in other.intervals}
        mine = self.intervals
        return bool(mine) and all(runs[-1][1] > ends.get(source, 0) for source, runs in mine)

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


def _joined(runs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The runs in order, with those joined that overlap or leave no gap.

    Raises:
        ValueError: One of them ends before it begins.
    """
    found: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if last < first:
            raise ValueError(f"no interval of a GTID set: {first}-{last}")
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def _without(
    runs: tuple[tuple[int, int], ...], taken: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    """What is left of the runs without those that are taken away; both are `_joined`."""
    at = 0
    for run_first, last in runs:
        first = run_first
        while at < len(taken) and taken[at][1] < first:
            at += 1
        for index in range(at, len(taken)):
            taken_first, taken_last = taken[index]
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
