"""Operators who follow one message after the other, until nothing is said that changes a volume.

    python -m tests.unit.mysql.chains [DEPTH]

The servers are those of `model`, after every sequence of so many events. Whatever the messages of
all pods say is followed: of one pod, or of several before anything is judged again, in any order.
Then the sidecars do what they may, and the messages of that time are followed. No row that was on
a volume at the beginning may be lost, and nobody may be sent round in a circle.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import permutations

from peerdisco.mysql.copies import Health, judge_replica_as_source, judge_source_of_all
from peerdisco.mysql.decisions import judge_primary, judge_replica
from peerdisco.mysql.dialects import ReplicationSource
from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.opening import FIRST_LOG, begins_epoch
from peerdisco.mysql.recovery import judge_recovery
from peerdisco.mysql.setup import Account
from peerdisco.mysql.status import Receiver
from peerdisco.primary.verdicts import Verdict

from . import model
from .advice import Message, Rows, Volumes, acts, follow
from .model import SERVERS, Server, State
from .servers import status

STEPS = 6
"""Messages after which an operator should be done."""


class CannotFollow(Exception):
    """What a message says cannot be done, so that nobody does what comes after it."""


@lru_cache(1 << 16)
def facts(n: int, server: Server) -> ServerFacts:
    """As those of the model; a server without data belongs to no cluster."""
    found = model.facts(n, server)
    if server.data or server.epochs:
        return found
    return replace(found, cluster=None, schemas=())


def rows(server: Server) -> Rows:
    return frozenset(("row", which) for which in server.data)


@dataclass(frozen=True)
class Cluster(Volumes):
    """The volumes of the model's servers.

    Attributes:
        state: The servers.
        given: How often a pod was given another volume.
    """

    state: State = field(default_factory=model.start)
    given: int = 0

    @classmethod
    def beginning(cls, state: State) -> Cluster:
        return cls({}, state=state)._having()

    def _having(self, *servers: Server) -> Cluster:
        state = replace(self.state, servers=servers or self.state.servers)  # type: ignore[arg-type]
        applied = {f"db-{n}": rows(one) for n, one in enumerate(state.servers)}
        return replace(self, state=state, applied=applied)

    def _with(self, pod: str, server: Server) -> Cluster:
        n = number(pod)
        return self._having(*(server if i == n else one for i, one in enumerate(self.servers)))

    def _giving(self, pod: str, server: Server) -> Cluster:
        before = self.put_aside(pod) if pod in self.kept else self
        assert isinstance(before, Cluster)
        return replace(before, given=before.given + 1)._with(pod, server)

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.state.servers

    @property
    def primary(self) -> int:
        return self.state.primary[0]

    # What operators do.

    def empty(self, pod: str) -> Cluster:
        return self._giving(pod, Server())

    def copy(self, pod: str, source: str) -> Cluster:
        return self._giving(pod, dumped(self.servers[number(source)]))

    def new_copy(self, pod: str, primary: str) -> Cluster:
        emptied = self._emptied(pod)
        source = emptied.source_for(number(pod))
        return emptied if source is None else emptied.copy(pod, f"db-{source}")

    def recover(self, pod: str, named: str | None = None) -> Cluster:
        emptied = self._emptied(pod)
        found = {f"db-{n}": facts(n, one) for n, one in enumerate(emptied.servers)}
        others = [name for name in found if name != pod]
        source = judge_recovery(pod, found, others, wanted=named).source
        return emptied if source is None else emptied.copy(pod, source).restart(*found)

    def _emptied(self, pod: str) -> Cluster:
        """The same if it is empty, and only waits for a pod that may be copied."""
        return self.empty(pod) if self.servers[number(pod)].data else self

    def move(self, pod: str, to: str) -> Cluster:
        server = self.servers[number(to)]
        if not server.is_open:
            raise CannotFollow
        missing = [one for one in self.servers[number(pod)].data if one not in server.data]
        for which in missing:
            server = model.execute(number(to), server, which)
        return self._with(to, server)

    def apply(self) -> Cluster:
        return self

    def restart(self, *pods: str) -> Cluster:
        named = {number(pod) for pod in pods}
        return self._having(
            *(model.restarted(one) if n in named else one for n, one in enumerate(self.servers))
        )

    def source_for(self, n: int) -> int | None:
        """From where the init container of a pod copies, as ``mysql-source copy`` says."""
        primary = self.facts(self.primary)
        report = Health(True, "primary", "") if self.verdict(self.primary) else REFUSED
        if primary.blank or judge_source_of_all(primary, report) is not None:
            return None
        for i in reversed(range(n)):
            if i == self.primary:
                continue
            health = Health(True, "replica", "") if self.verdict(i) else REFUSED
            if judge_replica_as_source(self.facts(i), health, primary) is None:
                return i
        return self.primary if n != self.primary else None

    # What sidecars do.

    def facts(self, n: int) -> ServerFacts:
        return facts(n, self.servers[n])

    def verdict(self, n: int) -> Verdict:
        if n == self.primary:
            return primarys(n, self.servers)
        return replicas(n, self.servers[n], self.primary, self.servers[self.primary])

    def settled(self) -> Cluster:
        """After every sidecar has done twice what it may do."""
        found = self
        for n in (self.primary, *(n for n in SERVERS if n != self.primary)) * 2:
            found = found._passed(n)
        return found

    def _passed(self, n: int) -> Cluster:
        server, verdict = self.servers[n], self.verdict(n)
        if not verdict:
            return self._with(f"db-{n}", replace(server, is_open=False, follows=False))
        if n != self.primary:
            replicates = replace(server, is_open=False, follows=True)
            source = self.servers[self.primary]
            received = model.receive(replicates, source) if source.is_open else replicates
            return self._with(f"db-{n}", received)
        clock = self.state.clock
        if begins_epoch(facts(n, server)):
            server = model.begin_epoch(n, server, clock)
        opened = replace(server, is_open=True, follows=False)
        newest = opened.epochs[-1].id
        beaten = model.execute(n, opened, clock + 1, beat=model.renewed(n, opened, newest))
        return replace(self, state=replace(self.state, clock=clock + 2))._with(f"db-{n}", beaten)

    def messages(self) -> dict[str, str]:
        """What the pods say after which a volume may change, by their names."""
        said = {f"db-{n}": self._said(n) for n in SERVERS}
        return {pod: text for pod, text in said.items() if acts(text)}

    def _said(self, n: int) -> str:
        verdict = self.verdict(n)
        return "" if verdict else "; ".join(map(str, verdict.deciding))


REFUSED = Health(False, "refused", "")


def number(pod: str) -> int:
    return int(pod.rpartition("-")[2])


def dumped(given: Server) -> Server:
    """A copy of a server by a dump: it knows the last transaction alone."""
    gtids = [*given.own, *([given.applied] if given.applied else [])]
    last = max(gtids, key=lambda gtid: gtid[1]) if gtids else None
    made = replace(model.restarted(given), own=(), applied=last, log=(), log_number=FIRST_LOG)
    return replace(made, log_id=given.log_id + 1)


@lru_cache(1 << 16)
def primarys(n: int, servers: tuple[Server, ...]) -> Verdict:
    asked = {f"db-{i}": facts(i, one) for i, one in enumerate(servers) if i != n}
    own = facts(n, servers[n])
    return judge_primary(own, asked, model.SNAPSHOTS[n], model.IDENTITIES[n], expected=3)


@lru_cache(1 << 16)
def replicas(n: int, own: Server, p: int, primary: Server) -> Verdict:
    source = ReplicationSource(f"db-{p}.db.shop", 3306, Account("repl", "x"))
    found, of = facts(n, replace(own, is_open=False)), facts(p, primary)
    verdict = judge_replica(found, of, source, n)
    if not verdict or not primary.is_open:
        return verdict
    if model.receive(replace(own, is_open=False, follows=True), primary).follows:
        return verdict
    # It is configured, and stops with an error.
    at = own.applied[1] if own.applied else 0
    gone = not primary.log or primary.last < at or primary.log[0].number > at + 1
    broken = {"receiver": Receiver.STOPPED, "receiver_errno": 1236, "receiver_error": "purged"}
    if not gone:
        broken = {"applier_running": False, "applier_errno": 1062, "applier_error": "twice"}
    return judge_replica(
        replace(found, status=status(source_host=source.host, **broken)), of, source, n
    )


# What comes of it.


@dataclass(frozen=True)
class Wrong:
    """Messages that were followed, and what came of it."""

    what: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((self.what, *self.steps))


def chain(begin: Cluster) -> Wrong | None:
    """What is wrong with what comes of the messages, however they are followed."""
    return _go_on(begin.settled(), begin.every, ())


def _go_on(cluster: Cluster, rows_of_all: Rows, steps: tuple[str, ...]) -> Wrong | None:
    if gone := rows_of_all - cluster.every:
        return Wrong(f"{len(gone)} rows are lost: {sorted(gone)[:3]}", steps)
    said = cluster.messages()
    if len(steps) > STEPS and said:
        return Wrong(f"not done after {STEPS} steps", steps)
    for order in orders(said):
        after, followed = cluster, ()
        for pod in order:
            done = followed_once(after, pod, said[pod])
            if done != after:
                after, followed = done, (*followed, f"{pod}: {said[pod]}")
        if not followed:
            continue
        forgetful = replace(after, kept=frozenset())
        wrong = _go_on(forgetful.settled(), rows_of_all, (*steps, " // ".join(followed)))
        if wrong is not None:
            return wrong
    return None


def followed_once(cluster: Cluster, pod: str, text: str) -> Cluster:
    other = next(name for name in cluster.applied if name not in (pod, f"db-{cluster.primary}"))
    message = Message(text, pod, other, f"db-{cluster.primary}")
    try:
        done = follow(cluster, message)
    except CannotFollow:
        return cluster
    assert isinstance(done, Cluster)
    # What is only kept has not changed.
    return cluster if done == replace(cluster, kept=done.kept) else done


def orders(said: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Each pod's message alone, and those of all pods in every order."""
    yield from ((pod,) for pod in said)
    if len(said) > 1:
        yield from permutations(said)


def client_write(state: State, n: int) -> State | None:
    """A client writes a row on a replica, as an account that may."""
    if state.primary[n] == n or not state.servers[n].data:
        return None
    return state.having(n, model.execute(n, state.servers[n], state.clock), ticks=1)


def lose(state: State, n: int) -> State | None:
    """The volume of a pod is lost."""
    return None if state.servers[n] == Server() else state.having(n, Server())


EVENTS: list[model.Event] = [
    *model.EVENTS,
    ("client writes 1", lambda state: client_write(state, 1)),
    ("lose 0", lambda state: lose(state, 0)),
    ("lose 2", lambda state: lose(state, 2)),
]


def states(depth: int) -> Iterator[tuple[tuple[str, ...], State]]:
    """Every state after so many events, in which all pods agree on the primary."""
    begin = model.start()
    reached: dict[State, tuple[str, ...]] = {begin: ()}
    seen = {begin}
    for _ in range(depth):
        reached, before = {}, reached
        for state, path in before.items():
            for name, event in EVENTS:
                after = event(state)
                if after is None or after in seen:
                    continue
                seen.add(after)
                reached[after] = (*path, name)
                if len(set(after.primary)) == 1:
                    yield reached[after], after


def kind_of(cluster: Cluster) -> tuple[object, ...]:
    """What is alike in clusters of which one is tried."""
    sizes = sorted({len(one) for one in cluster.applied.values()})
    lacks = tuple(
        bool(one - other) for one in cluster.applied.values() for other in cluster.applied.values()
    )
    codes = tuple(tuple(reason.code for reason in cluster.verdict(n).deciding) for n in SERVERS)
    return len(sizes), lacks, codes, tuple(one.applied is None for one in cluster.servers)


def search(depth: int, *, all_of_them: bool = True) -> tuple[Wrong | None, int]:
    """The first chain that goes wrong, and how many beginnings were tried."""
    tried: set[tuple[object, ...]] = set()
    count = 0
    for path, state in states(depth):
        begin = Cluster.beginning(state)
        if not begin.messages() and not begin.settled().messages():
            continue
        kind = kind_of(begin)
        if not all_of_them and kind in tried:
            continue
        tried.add(kind)
        count += 1
        if (wrong := chain(begin)) is not None:
            return replace(wrong, steps=(", ".join(path), *wrong.steps)), count
    return None, count


if __name__ == "__main__":
    found, count = search(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    print(f"{count} beginnings: {found or 'no fault'}")
    sys.exit(found is not None)
