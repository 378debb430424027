"""From which replica a primary that lost its volume can be restored, from facts. Pure.

A replica stores what it receives in its relay log before it applies it, and a server that restarts
throws away what it had not applied (``relay_log_recovery``). So the newest rows may be in the relay
log of one replica alone, and nothing may restart until that replica has applied them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .decisions import Unanswered
from .facts import ServerFacts
from .history import Standing, compare
from .positions import Position
from .status import Receiver

__all__ = ["Recovery", "judge_recovery", "possible_ordinals"]

_Found = ServerFacts | Unanswered


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whether the primary can be restored, and from which replica.

    Attributes:
        source: The name of the pod that has everything that any replica has received, and has
            applied it; None while there is none.
        waits_for: What is missing that may still come, in words: a replica that has to apply what
            it has received, or one that does not answer.
        applying: Whether the newest replica applies what it has received, which may take long.
        refused: Why the primary must not be restored now, in words; waiting does not help.
    """

    source: str | None = None
    waits_for: tuple[str, ...] = ()
    applying: bool = False
    refused: tuple[str, ...] = ()


def judge_recovery(
    primary: str,
    found: Mapping[str, _Found],
    expected: Collection[str],
    *,
    primary_lost: bool = False,
    wanted: str | None = None,
) -> Recovery:
    """Choose the replica to restore the primary from.

    Args:
        primary: The name of the primary's pod.
        found: The facts of all servers, by the names of their pods; the primary's may be missing.
        expected: The names of all replicas that count. Each has to answer, because the one that
            does not may have the newest rows.
        primary_lost: Whether it is known that the primary's data are lost, although its server
            does not answer.
        wanted: The only replica that may be the source; None for any.
    """
    refused = [*_primary_is_there(primary, found.get(primary), primary_lost)]
    replicas: dict[str, ServerFacts] = {}
    waits: list[str] = []
    for name in expected:
        facts = found.get(name, Unanswered("it is not listed"))
        if isinstance(facts, Unanswered):
            waits.append(
                f"{name} does not answer ({facts.detail}), and may have the newest rows: start it, "
                f"or leave it out with --without {name}, which loses the rows that only it has"
            )
        elif _may_receive(facts, primary, found.get(primary)):
            assert facts.status is not None
            waits.append(f"{name} is still connected to {facts.status.source_host}")
            replicas[name] = facts
        elif not facts.blank:
            replicas[name] = facts
    refused += _of_another_kind(replicas)
    if refused or waits:
        return Recovery(waits_for=tuple(waits), refused=tuple(refused))
    return _newest(replicas, wanted)


def _may_receive(facts: ServerFacts, name: str, primary: _Found | None) -> bool:
    """Whether a replica may still receive rows of the lost primary.

    A MySQL replica stays connected to a new server without data under the primary's name.
    """
    status = facts.status
    if status is None or status.receiver is not Receiver.RUNNING:
        return False
    to_primary = status.source_host.partition(".")[0] == name
    return not (to_primary and isinstance(primary, ServerFacts) and primary.blank)


def _primary_is_there(name: str, primary: _Found | None, lost: bool) -> Iterator[str]:
    if isinstance(primary, ServerFacts):
        if not primary.blank:
            yield (
                f"{name} answers, and holds data: restoring it from a replica would destroy them; "
                "only an empty volume is filled from a replica"
            )
    elif not lost:
        detail = primary.detail if primary is not None else "it is not listed"
        yield (
            f"{name} does not answer ({detail}), so it is not known whether its volume is lost; "
            "if the volume exists, start the pod on it: it has rows that no replica has received. "
            "If it is destroyed, say so with --primary-lost"
        )


def _of_another_kind(replicas: Mapping[str, ServerFacts]) -> Iterator[str]:
    """Replicas that cannot be compared, or that are no replicas."""
    if not replicas:
        return
    clusters: dict[str, list[str]] = {}
    for name, facts in replicas.items():
        if facts.cluster is None:
            yield f"{name} holds data that belong to no cluster: leave it out with --without {name}"
            continue
        clusters.setdefault(facts.cluster.id, []).append(name)
        if not facts.read_only:
            yield (
                f"{name} takes writes: if the role moved there, it is the primary, whose ordinal "
                "is given as --ordinal; otherwise stop its clients and its writes first"
            )
    if len(clusters) > 1:
        listed = "; ".join(f"{', '.join(names)}: {id_}" for id_, names in clusters.items())
        yield (
            f"the replicas hold data of different clusters ({listed}): keep the volumes of all, "
            "and leave out the wrong ones with --without"
        )


def everything(facts: ServerFacts) -> Position:
    """What a server has executed or received."""
    received = facts.status.received if facts.status is not None else ""
    return facts.position.with_more(received)


def unapplied(facts: ServerFacts) -> str:
    """The transactions that it has received and not applied, in words; empty if there are none."""
    return everything(facts).beyond(facts.position)


def _newest(replicas: Mapping[str, ServerFacts], wanted: str | None) -> Recovery:
    if not replicas:
        return Recovery(refused=("no replica holds data",))
    missing = {name: [*_missing(name, replicas)] for name in replicas}
    complete = [name for name, lines in missing.items() if not lines]
    if wanted is not None:
        if wanted not in replicas:
            return Recovery(refused=(f"{wanted} is not a replica that holds data",))
        if wanted not in complete:
            better = f"; restore from {complete[0]}" if complete else ""
            return Recovery(refused=(f"{'; '.join(missing[wanted])}{better}",))
        complete = [wanted]
    if not complete:
        lines = dict.fromkeys(line for lines in missing.values() for line in lines)
        advice = (
            "keep the volumes of all, and leave out with --without those whose rows the primary "
            "can do without"
        )
        return Recovery(refused=(f"no replica has everything: {'; '.join(lines)}; {advice}",))
    # All have the same transactions. One that has applied them needs no waiting, and one without
    # writes of its own gives the primary nothing that the other replicas do not have.
    complete.sort(key=lambda name: (bool(unapplied(replicas[name])), _has_own(name, replicas)))
    name = complete[0]
    found = _applied(name, replicas[name])
    if found.source is not None and (differ := tuple(_histories(name, replicas))):
        return Recovery(refused=differ)
    return found


def _histories(name: str, replicas: Mapping[str, ServerFacts]) -> Iterator[str]:
    """Replicas whose history is not that of the chosen one, which has applied everything."""
    for other, facts in replicas.items():
        standing = compare(facts.recorded, replicas[name].recorded).standing
        if standing not in (Standing.PREFIX, Standing.LOCAL_WRITES):
            yield (
                f"{other} has another history than {name} ({standing.value}): they followed "
                "different primaries; keep the volumes of all, decide whose data the primary gets, "
                "and leave out the others with --without"
            )


def _missing(name: str, replicas: Mapping[str, ServerFacts]) -> Iterator[str]:
    """What the others have and this one has not.

    What a server wrote itself counts only if it was the primary once.
    """
    mine = everything(replicas[name])
    for other, facts in replicas.items():
        was_primary = any(epoch.server == facts.origin for epoch in facts.history.epochs)
        if more := everything(facts).beyond(mine, but_of="" if was_primary else facts.origin):
            yield f"{other} has transactions that {name} does not have ({more})"


def _has_own(name: str, replicas: Mapping[str, ServerFacts]) -> bool:
    """Whether it has transactions that another one does not have."""
    mine = everything(replicas[name])
    return any(mine.beyond(everything(other)) for other in replicas.values())


def _applied(name: str, facts: ServerFacts) -> Recovery:
    if not (left := unapplied(facts)):
        return Recovery(source=name)
    status = facts.status
    assert status is not None
    received = f"{name} has received transactions that it has not applied ({left})"
    if status.applier_running:
        wait = (
            "do not restart it, which would discard them; if its applier waits for a lock, end the "
            "session that holds it"
        )
        return Recovery(waits_for=(f"{received}: {wait}",), applying=True)
    stopped = f"its applier does not run{status.trouble}"
    advice = "do not restart its server or its replication, which would discard them"
    return Recovery(refused=(f"{received}, and {stopped}: {advice}",))


def possible_ordinals(known: AbstractSet[int], count: int) -> set[int]:
    """The ordinals that pods of a StatefulSet may have: the known ones, and any that are missing.

    The primary's need not be the lowest, since its role may have moved. Where it is not known on
    which side a pod is missing, both are included, so that none is forgotten.

    Args:
        known: The primary's, and those that are listed; at least one.
        count: How many pods there are.
    """
    lowest, highest = min(known), max(known)
    missing = max(count - (highest - lowest + 1), 0)
    return {*range(max(lowest - missing, 0), highest + missing + 1)}
