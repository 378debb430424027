"""An operator who does what a message says, word for word, and what the volumes hold after that.

The operator reads the whole message before acting, does everything that it says, and takes the
worst where it leaves a choice. What is not put aside is gone: an emptied volume, one that a copy
replaces, and what a server has received and not applied when it restarts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from peerdisco.mysql.facts import ServerFacts
from peerdisco.mysql.positions import GtidSet, MariaDBPosition, Position

Row = tuple[str, int]
Rows = frozenset[Row]
NO_ROWS: Rows = frozenset()


@dataclass(frozen=True)
class Volumes:
    """The rows on all volumes.

    Attributes:
        applied: By pod, those that its server has applied.
        received: By pod, those that are in its relay log alone.
        aside: Those on volumes that were put aside.
        kept: The pods whose volumes are put aside before something is done to them.
    """

    applied: Mapping[str, Rows]
    received: Mapping[str, Rows] = field(default_factory=dict)
    aside: Rows = NO_ROWS
    kept: frozenset[str] = frozenset()

    @property
    def every(self) -> Rows:
        return self.aside.union(*self.applied.values(), *self.received.values())

    def of(self, pod: str) -> Rows:
        return self.applied[pod] | self.received.get(pod, NO_ROWS)

    @property
    def most(self) -> str:
        """The pod whose server has applied most."""
        return max(self.applied, key=lambda pod: len(self.applied[pod]))

    def put_aside(self, *pods: str) -> Volumes:
        return replace(self, aside=self.aside.union(*map(self.of, pods)))

    def keep(self, *pods: str) -> Volumes:
        return replace(self, kept=self.kept | {*pods})

    def empty(self, pod: str) -> Volumes:
        """The pod gets an empty volume, and loses what is on the one that it has."""
        return self._give(pod, NO_ROWS)

    def copy(self, pod: str, source: str) -> Volumes:
        """The pod gets a copy of another one's data, and loses what is on its volume."""
        return self._give(pod, self.applied[source])

    def new_copy(self, pod: str, primary: str) -> Volumes:
        """The pod's volume is emptied, and its init container copies from where it may."""
        return self.copy(pod, primary)

    def recover(self, pod: str, named: str | None = None) -> Volumes:
        """The pod gets a copy of the one that has most, after which all servers restart.

        Args:
            pod: The pod.
            named: The only one that may be copied; None for any.
        """
        return self.copy(pod, named or self.most).restart(*self.applied)

    def _give(self, pod: str, rows: Rows) -> Volumes:
        before = self.put_aside(pod) if pod in self.kept else self
        return replace(
            before,
            applied={**self.applied, pod: rows},
            received={**self.received, pod: NO_ROWS},
        )

    def move(self, pod: str, to: str) -> Volumes:
        return replace(self, applied={**self.applied, to: self.applied[to] | self.of(pod)})

    def apply(self) -> Volumes:
        """All servers apply what they have received."""
        return replace(self, applied={pod: self.of(pod) for pod in self.applied}, received={})

    def restart(self, *pods: str) -> Volumes:
        return replace(self, received={**self.received, **dict.fromkeys(pods, NO_ROWS)})


@dataclass(frozen=True)
class Message:
    """What an operator reads: on which pod, about which other one."""

    text: str
    own: str
    other: str
    primary: str


Action = Callable[[Volumes, Message, re.Match[str]], Volumes]


def nothing(volumes: Volumes, _: Message, __: re.Match[str]) -> Volumes:
    """Nothing happens to any volume, and no server restarts."""
    return volumes


def named(found: re.Match[str], message: Message) -> str:
    name = found[1]
    return {"this": message.own, "the primary": message.primary}.get(name, name)


def copy_of_primary(volumes: Volumes, message: Message, _: re.Match[str]) -> Volumes:
    return volumes.new_copy(message.own, message.primary)


def copy_aside(volumes: Volumes, message: Message, found: re.Match[str]) -> Volumes:
    return copy_of_primary(volumes.put_aside(message.own), message, found)


def keep_own(volumes: Volumes, message: Message, _: re.Match[str]) -> Volumes:
    return volumes.keep(message.own)


def keep_both(volumes: Volumes, message: Message, _: re.Match[str]) -> Volumes:
    return volumes.keep(message.own, message.other)


def keep_all(volumes: Volumes, _: Message, __: re.Match[str]) -> Volumes:
    return volumes.keep(*volumes.applied)


def restart_own(volumes: Volumes, message: Message, _: re.Match[str]) -> Volumes:
    return volumes.restart(message.own)


FIRST: dict[str, Action] = {
    # It is emptied after that.
    r"keep this volume until the rows that only it has are moved to the primary; then": (
        lambda v, m, _: v.move(m.own, m.primary)
    ),
    r"keep (?:this volume|this one)": keep_own,
    r"keep the volume of ([a-z]+-\d+)": lambda v, m, f: v.keep(named(f, m)),
    r"(this|the primary)(?: pod)? may hold (?:newer )?writes .*?, so keep its volume, too": (
        lambda v, m, f: v.keep(named(f, m))
    ),
    r"keep (?:both volumes|the data of both)": keep_both,
    r"keep (?:those|the volumes) of all": keep_all,
    r"keep the volume that (?:this pod|the primary) has now": lambda v, m, _: v.keep(m.primary),
    r"restart no server before that": lambda v, _, __: v.apply(),
    r"restart no server until 'peerdisco mysql-recover' has named (?:that peer|the replica "
    r"(?:to restore the primary from|that has most))": lambda v, _, __: v.apply(),
    r"restart neither its server nor its replication, which discards them, before its relay logs "
    r"are saved": (lambda v, m, _: v.put_aside(m.own)),
    r"restart neither the server of ([a-z]+-\d+) nor its replication, which discards them, before "
    r"its relay logs are saved": (lambda v, _, f: v.put_aside(f[1])),
    r"do not restart (?:it|its server or its replication), which would discard them": (
        lambda v, _, __: v.apply()
    ),
    r"nothing is restored; do not restart any pod": lambda v, _, __: v.apply(),
    r"restart the server while the primary takes writes": lambda v, _, __: v.apply(),
    r"needs a restart, while the primary takes writes": lambda v, _, __: v.apply(),
    r"(?:Find out which of them has the data|Do not restart or delete a pod) before": (
        lambda v, _, __: v.apply()
    ),
    r"must not be emptied|keep the volume, and give the pod another one|: keep the volume": (
        keep_own
    ),
}
"""What an operator does before anything else."""

THEN: dict[str, Action] = {
    r"empty this pod's volume and restart it to give it a new copy": copy_of_primary,
    r"give (?:this pod|it) a copy on another volume": copy_aside,
    r"this pod needs a copy": copy_of_primary,
    r"each replica of before needs a new copy, and its own sidecar reports whether": nothing,
    r"give the primary its newer volume, or a new one and then a copy of the replica that "
    r"'peerdisco mysql-recover' names": (lambda v, m, _: v.recover(m.primary)),
    r"give this pod its newer volume, or a new one and then a copy of ([a-z]+-\d+)'s data, "
    r"if 'peerdisco mysql-recover' names [a-z]+-\d+": (lambda v, m, f: v.recover(m.own, f[1])),
    r"give this pod its newer volume,": lambda v, m, _: v.empty(m.own),
    r"give it that back, or a copy of the data of the peer that has most": (
        lambda v, m, _: v.recover(m.own)
    ),
    r"give ([a-z]+-\d+) an empty volume, and keep the one that it has until it is known": (
        lambda v, m, f: v.put_aside(f[1]).copy(f[1], m.own)
    ),
    r"find out which is the right one, and give the other pod a copy of it on another volume": (
        lambda v, m, _: v.put_aside(m.other).copy(m.other, m.own)
    ),
    r"move (?:it|what is needed) to the primary(?: if it is needed)?": (
        lambda v, m, _: v.move(m.own, m.primary)
    ),
    r"make one a replica only when it is known that the other one has everything": nothing,
    r"stop (?:this pod's|the) server, remove auto\.cnf from its data directory, and start it": (
        restart_own
    ),
    r"correct that of ordinal \d+, and restart it": restart_own,
    r"correct its cause, then START REPLICA": restart_own,
    r"the data need no copy": nothing,
    r"wait until the primary's sidecar reports that": nothing,
    r"'peerdisco mysql-setup config[^']*' (?:prints|gives)": nothing,
    r"SET sql_log_bin = 0 and GRANT [A-Z ]+ ON \*\.\* to it": nothing,
    r"GRANT PROCESS ON \*\.\* to it, or start a replica": nothing,
    r"give that account(?: on the primary)? the password of (?:this pod's|the) Secret"
    r"(?: \([^)]*\))?, or correct the Secret": nothing,
    r"could not change the account": nothing,
    r"start or repair the replicas": nothing,
    r"\bstart it\b": nothing,
    r"start the pod on it": nothing,
    r"write 'without ([a-z]+-\d+)' behind the ordinal": nothing,
    r"leave (?:it |them )?out (?:the wrong ones |the others )?with --without": nothing,
    r"leave out with --without those whose rows the primary can do without": nothing,
    r"restore from ([a-z]+-\d+)": nothing,
    r"decide whose data the primary gets": nothing,
    r"restoring it from a replica would destroy them": nothing,
    r"only an empty volume is filled": nothing,
    r"say so with --primary-lost": nothing,
    r"stop its clients and its writes first": nothing,
    r"end the session that holds it": nothing,
    r"say so \(spec\.replicas\), or that this is the first start": nothing,
    r"unless you say that this is the first start": nothing,
    r"the user said that this is the first start": nothing,
    r"set POD_IP from the downward API": nothing,
    r"(?:create|give) the account with": nothing,
}
"""What an operator does then, in the order of the text."""

IMPERATIVE = re.compile(
    r"\b(empty|restart|start|stop|keep|give|move|remove|drop|find out|wait|write|GRANT|grant|set"
    r"|SET|correct|say|leave|run|restore|restoring|create|use|end|decide|make|convert|execute"
    r"|add|change|copy|prints|repair|needs? an?|put|unless|delete|destroy|discard|save|recover)\b"
)
"""Words with which a message says what to do, or what would follow from it."""

STATEMENTS = re.compile(
    r"it is empty|the server is empty|the volume of one of them is a copy of the other's"
    r"|its volume is a copy of the primary's|since a copy of before is refused"
    r"|in the pod that was given the copy|those of [a-z]+-\d+ end at"
    r"|writes,? wait|whose writes wait|a write does not complete"
    r"|do(?:es)? not (?:wait|run|end|move)"
)
"""What uses such a word, and says nothing to do."""


RISKY = re.compile(
    r"(?i)\b(empty|restart|remove|drop|delete|destroy|discard|stop|kill|wipe|reset|erase|purge)\b"
)
"""Words with which a text beside the sidecar's messages could lead to a loss."""

HARMLESS = re.compile(
    r"(?i)\b(?:an empty|is empty|or empty on the first start|holds an empty|are empty too)\b"
    r"|stop: the local server|end or discard|a restart may discard rows"
    r"|would discard them|Do not switch off|\(log-reset|binary log reset|log was reset"
)
"""What has such a word, and says nothing to do."""


def risky(text: str) -> list[str]:
    """The risky words of a text of which the operator here knows nothing."""
    for pattern in (*FIRST, *THEN, STATEMENTS.pattern, HARMLESS.pattern):
        text = re.sub(pattern, "~", text)
    return [found[0] for found in RISKY.finditer(text)]


def follow(volumes: Volumes, message: Message) -> Volumes:
    """The volumes after an operator did what the message says."""
    for table in (FIRST, THEN):
        for found, action in _in_order(message.text, table):
            volumes = action(volumes, message, found)
    return volumes


def not_understood(text: str) -> list[str]:
    """The words of a message that say what to do, and of which the operator here knows nothing."""
    for pattern in (*FIRST, *THEN, STATEMENTS.pattern):
        text = re.sub(pattern, "~", text)
    return [found[0] for found in IMPERATIVE.finditer(text)]


def acts(text: str) -> bool:
    """Whether a message, or a part of it, may lead to something that happens to a volume."""
    does = (pattern for pattern, action in {**FIRST, **THEN}.items() if action is not nothing)
    return any(re.search(pattern, text) for pattern in does) or bool(not_understood(text))


def _in_order(text: str, table: Mapping[str, Action]) -> Iterable[tuple[re.Match[str], Action]]:
    found = [(match, action) for pattern, action in table.items()
             for match in re.finditer(pattern, text)]  # fmt: skip
    ends: list[tuple[int, int]] = []
    for match, action in sorted(found, key=lambda one: (one[0].start(), -one[0].end())):
        if not any(begin <= match.start() < end for begin, end in ends):
            ends.append(match.span())
            yield match, action


# What the volumes of servers hold.


@lru_cache
def rows_of(facts: ServerFacts) -> Rows:
    """The transactions in a server's data, each by the epoch in which it was written.

    Numbers repeat after a rewind or a reset, and so do not identify a transaction.
    """
    rows: set[Row] = set()
    last = _numbers(facts.position)
    for n, epoch in enumerate(facts.history.epochs):
        begin = 0 if epoch.log_reset else _numbers(epoch.left_position).get(epoch.server, 0)
        later = facts.history.epochs[n + 1 :]
        if later:
            end = _numbers(later[0].left_position).get(epoch.server, 0)
        elif facts.recorded.log_was_reset and facts.history.heartbeat is not None:
            left = facts.history.heartbeat.position
            end = _numbers(left).get(epoch.server, 0) if left is not None else 0
        else:
            end = last.get(epoch.server, 0)
        if n == 0:
            rows |= {("before", number) for number in range(1, begin + 1)}
        rows |= {(epoch.id, number) for number in range(begin + 1, end + 1)}
    primaries = {epoch.server for epoch in facts.history.epochs}
    newest = max(facts.history.epochs, default=None, key=lambda epoch: epoch.number)
    if not primaries and facts.cluster is not None:
        return frozenset(("before", n) for end in last.values() for n in range(1, end + 1))
    if facts.recorded.log_was_reset and newest is not None:
        rows |= {(f"reset of {newest.id}", n) for n in range(1, last.get(newest.server, 0) + 1)}
    rows |= {
        (f"{_cluster(facts)} of {server}", number)
        for server, end in last.items()
        if server not in primaries
        for number in range(1 if not primaries else end, end + 1)
    }
    return frozenset(rows)


def received_of(facts: ServerFacts) -> Rows:
    """What is in a replica's relay log alone."""
    if facts.status is None or not facts.status.received:
        return NO_ROWS
    position = facts.position.with_more(facts.status.received)
    return rows_of(replace(facts, position=position)) - rows_of(facts)


def _cluster(facts: ServerFacts) -> str:
    return facts.cluster.id if facts.cluster is not None else "none"


def _numbers(position: Position) -> dict[str, int]:
    """The last number of each server that wrote."""
    found: dict[str, int] = {}
    if isinstance(position, GtidSet):
        for part in filter(None, position.text.split(",")):
            server, _, intervals = part.partition(":")
            found[server] = max(int(n) for n in re.findall(r"\d+", intervals))
        return found
    assert isinstance(position, MariaDBPosition)
    for _, number_of_server, last in position.logged | position.applied:
        server = str(number_of_server)
        found[server] = max(found.get(server, 0), last)
    return found
