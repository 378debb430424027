"""Every short history of three servers, against the decisions about them.

    python -m tests.unit.mysql.model [DEPTH]

A state is what three servers hold: their rows in order, their positions as MariaDB counts them, the
tables of this package, and whether they are open or replicate. Events change it as servers and
sidecars do; the decisions are the real ones. `broken` says what must never be in any state.

What a server applies is known here by the identity of each transaction, which the decisions do not
see: they have numbers alone, which repeat after a rewind or a reset.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from peerdisco.model import Identity, Snapshot
from peerdisco.mysql.decisions import judge_primary, judge_replica
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.facts import ClusterRow, ServerFacts
from peerdisco.mysql.history import Epoch, Heartbeat, History
from peerdisco.mysql.opening import FIRST_LOG, begins_epoch
from peerdisco.mysql.positions import MariaDBPosition
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver, ReplicaStatus
from peerdisco.mysql.stopping import Received, plan_stopping, what_was_received
from peerdisco.mysql.versions import Version
from peerdisco.primary.policies import ordinal
from peerdisco.primary.verdicts import Verdict
from tests.unit.primary.test_verdicts import me, seen

from .histories import BEGAN

VERSION = Version.parse("10.11.4-MariaDB")
CLUSTER = ClusterRow("a-cluster", from_blank=True)
SERVERS = range(3)
ROWS = 4
"""Transactions of one write: as many as a bootstrap takes, so that a log which was reset soon has
the old numbers again."""


@dataclass(frozen=True)
class Server:
    """What one server holds.

    Attributes:
        data: The identities of the transactions in it that a primary wrote, in order.
        own: The last number in its own log of each server that wrote there.
        applied: What it has applied as a replica: server and number; None if nothing.
        log_id: Another one after each reset of the log.
        mark: The epoch and the log that the last heartbeat has recorded.
        is_open: Whether it takes writes.
        follows: Whether its receiver runs.
        locked: Whether its applier waits for a lock.
        relay: What it has received, and not applied.
        halted: Whether its applier has stopped before it had applied that.
    """

    data: tuple[int, ...] = ()
    own: tuple[tuple[int, int], ...] = ()
    applied: tuple[int, int] | None = None
    epochs: tuple[Epoch, ...] = ()
    beat: Heartbeat | None = None
    log: tuple[Logged, ...] = ()
    log_number: int = FIRST_LOG
    log_id: int = 0
    mark: tuple[str, int] | None = None
    is_open: bool = False
    follows: bool = False
    locked: bool = False
    relay: tuple[Logged, ...] = ()
    halted: bool = False

    @property
    def rows(self) -> set[int]:
        """What a primary wrote of what it has applied or received."""
        return {*self.data, *(one.which for one in self.relay if one.row)}

    @property
    def status(self) -> ReplicaStatus | None:
        """What it says as a replica; of no interest while it applies all at once."""
        if not self.relay:
            return None
        last = self.relay[-1]
        receiver = Receiver.RUNNING if self.follows else Receiver.STOPPED
        return ReplicaStatus(
            source_host=SOURCE.host,
            source_port=SOURCE.port,
            source_user=SOURCE.account.user,
            gtid=True,
            receiver=receiver,
            applier_running=not self.halted,
            received=f"0-{last.server}-{last.number}",
        )

    @property
    def is_marked(self) -> bool:
        """Whether a beat of the newest epoch has recorded in which log it is."""
        return self.mark is not None and self.mark[0] == self.epochs[-1].id

    def has_another_log(self, origin: str) -> bool:
        """Whether its log is not the one of the last heartbeat, which recorded that."""
        beat, mark = self.beat, self.mark
        if beat is None or mark is None or mark[0] != beat.epoch or mark[1] == self.log_id:
            return False
        return any(epoch.id == beat.epoch and epoch.server == origin for epoch in self.epochs)

    @property
    def position(self) -> MariaDBPosition:
        applied = frozenset([(0, *self.applied)]) if self.applied else frozenset()
        return MariaDBPosition(frozenset((0, *gtid) for gtid in self.own), applied)

    @property
    def last(self) -> int:
        return max([number for _, number in self.own] + [self.applied[1] if self.applied else 0])


@dataclass(frozen=True)
class Logged:
    """A transaction in a binary log: which, its number and server, and what it does."""

    which: int
    server: int
    number: int
    row: bool = True
    beat_before: tuple[str, int] | None = None
    beat: Heartbeat | None = None
    epoch: Epoch | None = None


@dataclass(frozen=True)
class State:
    """The three servers; which of them each pod takes for the primary; and all snapshots."""

    servers: tuple[Server, Server, Server]
    primary: tuple[int, int, int] = (0, 0, 0)
    saved: Server | None = None
    clock: int = 0
    found: str = ""
    """What an event itself found to be wrong."""

    def having(self, n: int, server: Server, *, ticks: int = 0) -> State:
        servers = tuple(server if n == i else one for i, one in enumerate(self.servers))
        return replace(self, servers=servers, clock=self.clock + ticks)  # type: ignore[arg-type]


@lru_cache(1 << 16)
def facts(n: int, server: Server) -> ServerFacts:
    return ServerFacts(
        version=VERSION,
        server_id=100 + n,
        origin=str(100 + n),
        read_only=not server.is_open,
        closed=not server.is_open,
        log_bin=True,
        gtid_mode=True,
        schemas=("shop",),
        cluster=CLUSTER,
        position=server.position,
        purged=None,
        status=server.status,
        history=History(server.epochs, server.beat),
        log_number=server.log_number,
        log_replaced=server.has_another_log(str(100 + n)),
    )


ADDRESSES = [f"db-{n}=10.0.0.{n + 1}" for n in SERVERS]
IDENTITIES: list[Identity] = [me(f"db-{n}", f"10.0.0.{n + 1}") for n in SERVERS]
SNAPSHOTS: list[Snapshot] = [
    replace(seen(*ADDRESSES, identity=identity), policy=ordinal(n))
    for n, identity in enumerate(IDENTITIES)
]
SOURCE = ReplicationSource("db.example", 3306, Account("repl", "x"))


@lru_cache(1 << 16)
def primarys_verdict(n: int, own: Server, peers: tuple[tuple[int, Server], ...]) -> Verdict:
    asked = {f"db-{i}": facts(i, peer) for i, peer in peers}
    return judge_primary(facts(n, own), asked, SNAPSHOTS[n], IDENTITIES[n])


@lru_cache(1 << 16)
def replicas_verdict(n: int, own: Server, p: int, primary: Server) -> Verdict:
    return judge_replica(facts(n, own), facts(p, primary), SOURCE)


# What servers do.


def execute(
    n: int, server: Server, which: int, *, row: bool = True, beat: Heartbeat | None = None,
    epoch: Epoch | None = None,
) -> Server:  # fmt: skip
    """One more transaction, written on this server."""
    number = server.last + 1
    before = (server.beat.epoch, server.beat.counter) if server.beat else None
    logged = Logged(which, 100 + n, number, row, before if beat else None, beat, epoch)
    return replace(
        server,
        data=(*server.data, which) if row else server.data,
        own=tuple(sorted({**dict(server.own), 100 + n: number}.items())),
        log=(*server.log, logged),
        beat=beat or server.beat,
        epochs=(*server.epochs, epoch) if epoch else server.epochs,
    )


def renewed(n: int, server: Server, epoch: str) -> Heartbeat:
    counter = server.beat.counter + 1 if server.beat else 1
    return Heartbeat(epoch, counter, BEGAN, server.position, server.log_number)


def begin_epoch(n: int, server: Server, which: int) -> Server:
    """As `plan_primary` does it."""
    own = facts(n, server)
    reset = own.recorded.log_was_reset
    server = replace(server, log_number=max(server.log_number, FIRST_LOG))
    newest, beat = own.history.newest, server.beat
    left = beat.position if reset and beat and beat.position else server.position
    name = f"e{which}"
    epoch = Epoch(
        number=newest.number + 1 if newest else 1,
        id=name,
        predecessor=newest.id if newest else None,
        ordinal=n,
        server=str(100 + n),
        opened_at=BEGAN,
        left_position=left,
        left_beat=beat.counter if beat else None,
        log_reset=reset,
    )
    if reset:  # not logged
        data, epochs = (*server.data, which), (*server.epochs, epoch)
        return replace(server, data=data, beat=renewed(n, server, name), epochs=epochs)
    return execute(n, server, which, beat=renewed(n, server, name), epoch=epoch)


def receive(server: Server, source: Server) -> Server:
    """All that a running replica gets from a source, by its numbers; it stops at an error."""
    at = server.applied[1] if server.applied else 0
    if server.relay:
        at = server.relay[-1].number
    if not source.log or source.last < at or source.log[0].number > at + 1:
        return replace(server, follows=False)  # 1236
    more = tuple(one for one in source.log if one.number > at)
    if server.locked or server.halted:
        return replace(server, relay=(*server.relay, *more))
    return apply(server, more)


def apply(server: Server, received: tuple[Logged, ...]) -> Server:
    """All of it, up to an error."""
    for one in received:
        if one.number <= server.last:
            return replace(server, follows=False)  # 1950: a number that is taken
        known = (server.beat.epoch, server.beat.counter) if server.beat else None
        if one.beat is not None and one.beat_before != known:
            return replace(server, follows=False)  # 1032: the row is not there
        if one.epoch is not None and one.epoch.number in {e.number for e in server.epochs}:
            return replace(server, follows=False)  # 1062
        server = replace(
            server,
            data=(*server.data, one.which) if one.row else server.data,
            own=tuple(sorted({**dict(server.own), one.server: one.number}.items())),
            applied=(one.server, one.number),
            log=(*server.log, one),
            beat=one.beat or server.beat,
            epochs=(*server.epochs, one.epoch) if one.epoch else server.epochs,
        )
    return server


def restarted(server: Server) -> Server:
    return replace(
        server,
        is_open=False,
        follows=False,
        locked=False,
        relay=(),  # a replica that starts discards it
        halted=False,
        log_number=server.log_number + 1,
    )


def masked(server: Server, other: Server) -> bool:
    """Whether it is a copy whose last transaction was no primary's, and the other was far behind.

    What is in between is not known: it may be of a primary, and lost.
    """
    primaries = {epoch.server for epoch in server.epochs}
    applied = server.applied
    if applied is None or str(applied[0]) in primaries:
        return False
    return left(server, other) < applied[1] - 1


def left(server: Server, other: Server) -> int:
    """The last number that the other server had when it left the newest epoch of this one."""
    number = server.epochs[-1].number if server.epochs else 0
    later = [epoch for epoch in other.epochs if epoch.number > number]
    if not later:
        return other.last
    position = later[0].left_position
    assert isinstance(position, MariaDBPosition)
    return max((gtid[2] for gtid in position.logged | position.applied), default=0)


def unclear(n: int, server: Server, other: Server) -> bool:
    """Whether no rule can know that nothing is lost with it.

    It may be a copy that hides what is in between; or it was the primary of its newest epoch, so
    that an administrator's statement on it looks like a client's.
    """
    last = server.log[-1] if server.log else None
    primarys = bool(server.epochs) and server.epochs[-1].server == str(100 + n)
    return masked(server, other) or (primarys and last is not None and not last.row)


# Events: what happens to a state. None where it cannot happen.


def write(state: State, n: int) -> State | None:
    """A client writes some rows; the sidecar has not beaten since."""
    server = state.servers[n]
    if not server.is_open:
        return None
    for i in range(ROWS):
        server = execute(n, server, state.clock + i)
    return state.having(n, server, ticks=ROWS)


def beat(state: State, n: int) -> State | None:
    """The sidecar of an open primary renews the heartbeat, or finds that the log was reset."""
    server = state.servers[n]
    if not server.is_open or state.primary[n] != n:
        return None
    own = facts(n, server)
    if own.recorded.log_was_reset:
        return state.having(n, begin_epoch(n, server, state.clock), ticks=1)
    newest = own.history.newest
    if newest is None or server.beat is None or server.beat.epoch != newest.id:
        return None
    renews = renewed(n, server, newest.id)
    server = replace(server, mark=(newest.id, server.log_id))
    return state.having(n, execute(n, server, state.clock, beat=renews), ticks=1)


def judge(state: State, n: int) -> State | None:
    """The sidecar of a replica compares it with the primary, and replicates if it may."""
    p = state.primary[n]
    if p == n:
        return None
    own = replace(state.servers[n], is_open=False)
    verdict = replicas_verdict(n, own, p, state.servers[p])
    if verdict:
        if own.halted:
            own = replace(own, halted=False, relay=())
        return state.having(n, receive(replace(own, follows=True), state.servers[p]))
    lacking = own.rows - set(state.servers[p].data)
    text = str(verdict)
    found = ""
    drops = "empty this pod's volume" in text and "keep" not in text and "move" not in text
    if (drops or "the primary has everything" in text) and lacking:
        found = f"db-{n} is advised to drop the only copy: {text}"
    if (
        "keep this volume" in text
        and not lacking
        and not unclear(n, own, state.servers[p])
        and "another" not in text
    ):
        found = f"db-{n} holds nothing that the primary does not have: {text}"
    mine, theirs = facts(n, own), facts(p, state.servers[p])
    stops = any(step.sql == "STOP REPLICA" for step in plan_stopping(mine, theirs))
    own = replace(own, follows=False, halted=own.halted or (stops and bool(own.relay)))
    if not own.halted and what_was_received(mine, theirs) is Received.FROM_BEFORE:
        sent = set(own.relay) & set(state.servers[p].log)
        if sent and sent != set(own.relay):
            found = f"db-{n} applies what it received from two histories: {text}"
    return replace(state.having(n, own), found=found)


def lock(state: State, n: int) -> State | None:
    """A client locks a table of a replica, so that it receives more than it applies."""
    server = state.servers[n]
    if server.locked or not server.follows or state.primary[n] == n:
        return None
    return state.having(n, replace(server, locked=True))


def unlock(state: State, n: int) -> State | None:
    """The lock ends, and the replica applies what it has received, if its applier runs."""
    server = state.servers[n]
    if not server.locked:
        return None
    server = replace(server, locked=False)
    if not server.halted:
        applied = apply(replace(server, relay=(), follows=True), server.relay)
        server = replace(applied, follows=server.follows and applied.follows)
    return state.having(n, server)


def flow(state: State, n: int) -> State | None:
    """A replica gets what there is, between two comparisons."""
    server, p = state.servers[n], state.primary[n]
    if not server.follows or p == n or not state.servers[p].is_open:
        return None
    return state.having(n, receive(server, state.servers[p]))


def open_primary(state: State, n: int, *, asks: bool) -> State | None:
    """The sidecar of the primary opens it, or compares an open one with its peers."""
    server = state.servers[n]
    if state.primary[n] != n or (server.is_open and not asks) or server.relay:
        return None  # a pod is not opened before it has applied what it has received
    peers = tuple((i, one) for i, one in enumerate(state.servers) if i != n) if asks else ()
    verdict = primarys_verdict(n, server, peers)
    if verdict:
        if begins_epoch(facts(n, server)):
            server = begin_epoch(n, server, state.clock)
        opened = replace(server, is_open=True, follows=False, locked=False)
        return replace(state.having(n, opened, ticks=1), found=opened_without(n, state, peers))
    found = ""
    ahead = any(reason.code.code == "peer-is-ahead" for reason in verdict.reasons)
    known = not any(unclear(i, one, server) for i, one in peers)
    if ahead and known and not any(one.rows - set(server.data) for _, one in peers):
        found = f"db-{n} is refused, and no peer has more: {verdict}"
    return replace(state.having(n, replace(server, is_open=False)), found=found)


def opened_without(n: int, state: State, peers: tuple[tuple[int, Server], ...]) -> str:
    """What is wrong with opening a closed server beside peers that have received more."""
    server = state.servers[n]
    for i, peer in peers:
        same = peer.data == server.data[: len(peer.data)]
        if server.is_open or not same or not peer.relay or peer.relay[-1].number <= server.last:
            continue
        if peer.rows - set(server.data):
            return f"db-{n} is opened without what db-{i} has received"
    return ""


def restart(state: State, n: int) -> State | None:
    """A server restarts.

    Not a third time after its log was reset, before a sidecar has seen that or the epoch's first
    heartbeat: that is not noticed.
    """
    server = state.servers[n]
    if server.log_number == FIRST_LOG - 1 and not server.is_marked:
        return None
    return state.having(n, restarted(server))


def save(state: State) -> State | None:
    """A snapshot of ordinal 0's volume."""
    if state.saved == state.servers[0]:
        return None
    return replace(state, saved=state.servers[0])


def restore(state: State) -> State | None:
    """Ordinal 0 gets the volume of the snapshot."""
    if state.saved is None or _unnoticed(0, state.servers[0]):
        return None
    return state.having(0, restarted(state.saved))


def reset_log(state: State, n: int) -> State | None:
    """RESET MASTER on the primary."""
    server = state.servers[n]
    if not server.is_open or not server.log:
        return None
    return state.having(n, replace(server, own=(), log=(), log_number=1, log_id=server.log_id + 1))


def copy(state: State, n: int, source: int) -> State | None:
    """A replica gets a dump of another server: it knows the last transaction alone."""
    given = state.servers[source]
    if n == state.primary[n] or not given.own or _unnoticed(source, given):
        return None
    last = max([*given.own, *([given.applied] if given.applied else [])], key=lambda gtid: gtid[1])
    made = replace(restarted(given), own=(), applied=last, log=(), log_number=FIRST_LOG)
    return state.having(n, replace(made, log_id=given.log_id + 1))


def copy_volume(state: State) -> State | None:
    """Ordinal 0 gets a copy of a replica's volume, with its log."""
    source = state.servers[1]
    if state.primary[0] != 0 or not source.epochs:
        return None
    if any(_unnoticed(n, state.servers[n]) for n in (0, 1)):
        return None
    return state.having(0, restarted(replace(source, log_number=1)))


def _unnoticed(n: int, server: Server) -> bool:
    """Whether a log was reset within the last second: no volume is copied or replaced within that.

    What replicas received in that second is found by what the sidecar of the primary then records.
    """
    return facts(n, server).recorded.log_was_reset


def local_write(state: State, n: int) -> State | None:
    """An administrator's FLUSH TABLES on a replica."""
    if state.primary[n] == n:
        return None
    return state.having(n, execute(n, state.servers[n], state.clock, row=False), ticks=1)


def move(state: State, n: int) -> State | None:
    """A pod is configured with another ordinal as the primary."""
    primary = tuple(1 - p if i == n else p for i, p in enumerate(state.primary))
    return replace(state, primary=primary)  # type: ignore[arg-type]


Event = tuple[str, Callable[[State], State | None]]


def events() -> Iterator[Event]:
    for n in SERVERS:
        yield f"judge {n}", lambda state, n=n: judge(state, n)
        yield f"flow {n}", lambda state, n=n: flow(state, n)
    for n in (0, 1):
        yield f"write {n}", lambda state, n=n: write(state, n)
        yield f"beat {n}", lambda state, n=n: beat(state, n)
        yield f"open {n} alone", lambda state, n=n: open_primary(state, n, asks=False)
        yield f"open {n}", lambda state, n=n: open_primary(state, n, asks=True)
        yield f"reset log {n}", lambda state, n=n: reset_log(state, n)
    for n in SERVERS:
        yield f"restart {n}", lambda state, n=n: restart(state, n)
    yield "save 0", save
    yield "restore 0", restore
    yield "copy 1 to 2", lambda state: copy(state, 2, 1)
    yield "copy 0 to 1", lambda state: copy(state, 1, 0)
    yield "volume 1 to 0", copy_volume
    yield "local 1", lambda state: local_write(state, 1)
    yield "lock 1", lambda state: lock(state, 1)
    yield "unlock 1", lambda state: unlock(state, 1)
    yield "move 0", lambda state: move(state, 0)
    yield "move 1", lambda state: move(state, 1)


EVENTS = list(events())


# What must not be.


def broken(state: State) -> str:
    """What is wrong in a state; empty if nothing is."""
    if state.found:
        return state.found
    for n, server in enumerate(state.servers):
        p = state.primary[n]
        if n == p or not server.follows or server.is_open:
            continue
        primary = state.servers[p]
        if not replicas_verdict(n, server, p, primary):
            continue
        if primary.data[: len(server.data)] != server.data:
            return f"db-{n} follows db-{p} and has another history"
    return _two_primaries(state)


def _two_primaries(state: State) -> str:
    opened = [n for n, one in enumerate(state.servers) if one.is_open and state.primary[n] == n]
    stay = [
        n
        for n in opened
        if primarys_verdict(
            n, state.servers[n], tuple((i, one) for i, one in enumerate(state.servers) if i != n)
        )
    ]
    return f"{len(stay)} primaries see each other and stay open" if len(stay) > 1 else ""


def start() -> State:
    """A primary with some rows, and replicas that have them; the snapshot is of this moment."""
    first = begin_epoch(0, Server(), 1)
    state: State | None = State((replace(first, is_open=True), Server(), Server()), clock=2)
    for name in ("judge 1", "judge 2", "save 0"):
        assert state is not None
        state = dict(EVENTS)[name](state)
    assert state is not None
    assert all(one.follows for one in state.servers[1:])
    return state


@dataclass(frozen=True)
class Found:
    """Events that lead to a state that must not be."""

    events: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        return f"{', '.join(self.events)}: {self.what}"


def explore(depth: int, begin: State | None = None) -> tuple[Found | None, int]:
    """Try all histories of so many events, the shortest first: the first fault, and the states."""
    begin = begin or start()
    states: dict[State, tuple[str, ...]] = {begin: ()}
    seen_states = set(states)
    for _ in range(depth):
        reached: dict[State, tuple[str, ...]] = {}
        for state, path in states.items():
            for name, event in EVENTS:
                after = event(state)
                if after is None or after in seen_states:
                    continue
                if wrong := broken(after):
                    return Found((*path, name), wrong), len(seen_states)
                seen_states.add(after)
                reached[after] = (*path, name)
        states = reached
    return None, len(seen_states)


if __name__ == "__main__":
    found, count = explore(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
    print(f"{count} states: {found or 'no fault'}")
    sys.exit(found is not None)
