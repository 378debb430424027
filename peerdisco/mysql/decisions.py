"""Verdicts on a server and the steps for it, from facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..model import Identity, Snapshot
from ..primary.verdicts import (
    Probe,
    Reason,
    ReasonCode,
    Verdict,
    confirm_local_primary,
    may_bootstrap,
)
from ..wording.lists import listed
from .dialects import Dialect, ReplicationSource, SourceTrust, Step
from .errors import Action, classify, needs_copy
from .facts import ServerFacts
from .objections import (
    NEW_COPY,
    against_discarding,
    against_following,
    against_opening,
    against_replaying,
    keeping_relay_logs,
)
from .reasons import ServerReasonCode
from .repairs import has_unapplied, plan_counting, plan_marking
from .status import Receiver, ReplicaStatus
from .versions import Flavour

__all__ = [
    "Unanswered",
    "judge_primary",
    "judge_replica",
    "plan_closing",
    "plan_replica",
    "probe_of",
]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A peer whose server did not answer.

    Attributes:
        detail: Why, in words.
        denied: Whether it rejected the login.
    """

    detail: str
    denied: bool = False


def probe_of(name: str, found: ServerFacts | Unanswered) -> Probe:
    """What a server's facts say about its claims."""
    if isinstance(found, Unanswered):
        return Probe(name, answered=False, detail=found.detail)
    writes = not found.read_only and found.status is None and found.cluster is not None
    if found.schemas is None:
        detail = f"its account may not list the schemas: {_LET_IT_SEE}"
    elif writes:
        detail = "it takes writes, and does not replicate"
    elif found.cluster is not None:
        detail = f"of the cluster {found.cluster.id}"
    elif found.schemas:
        detail = f"the schemas {listed(found.schemas)}"
    else:
        detail = "it is empty"
    return Probe(name, True, holds_data=found.holds_data, claims_primary=writes, detail=detail)


# The primary.


def judge_primary(
    own: ServerFacts,
    peers: Mapping[str, ServerFacts | Unanswered],
    snapshot: Snapshot,
    identity: Identity,
    *,
    expected: int | None = None,
    first_start: bool = False,
) -> Verdict:
    """Whether this pod's server may take writes.

    Args:
        own: The server's facts; read after the peers', so that a peer cannot be ahead of it only
            because time has passed.
        peers: The facts of the other pods' servers, by the pods' names.
        snapshot: The membership.
        identity: Who this pod is.
        expected: As for `may_bootstrap`.
        first_start: As for `may_bootstrap`.
    """
    probes = [
        replace(probe, claims_primary=False) if _is_outdated(peers[probe.peer], own) else probe
        for probe in (probe_of(name, found) for name, found in peers.items())
    ]
    confirmed = confirm_local_primary(snapshot, identity, probes)
    against = [*_misconfigured(own)]
    if against or not confirmed:
        return Verdict.of([*against, *(() if confirmed else confirmed.reasons)])
    if own.holds_data is None:
        return Verdict.of([Reason(ServerReasonCode.MISCONFIGURED, _CANNOT_SEE)])
    answered = {name: found for name, found in peers.items() if isinstance(found, ServerFacts)}
    if own.cluster is not None:
        return Verdict.of(
            [
                Reason(
                    ServerReasonCode.HOLDS_THE_DATA,
                    f"{identity.pod_name} holds the data of the cluster {own.cluster.id}, and no "
                    "peer of this cluster that answered has more",
                ),
                *(
                    replace(reason, text=f"{reason.text} (this pod is {identity.pod_name})")
                    for reason in _against_own_cluster(
                        own, answered, max(expected or 0, len(peers) + 1)
                    )
                ),
            ]
        )
    if own.schemas:
        # An existing database: its own replicas do not count as peers with other data.
        probes = [
            probe
            for probe in probes
            if probe.peer not in answered
            or not _replicates_from(answered[probe.peer], own, identity)
        ]
        followers = set(peers) - {probe.peer for probe in probes}
        probes += [Probe(name, answered=True, holds_data=False) for name in followers]
    verdict = may_bootstrap(snapshot, identity, probes, expected=expected, first_start=first_start)
    return Verdict.of(_with_data(reason, own, answered) for reason in verdict.reasons)


def _with_data(reason: Reason, own: ServerFacts, peers: Mapping[str, ServerFacts]) -> Reason:
    """A reason against a new database, with what is known of the data on both sides."""
    found = peers.get(reason.peer or "")
    if reason.code is not ReasonCode.PEER_HOLDS_DATA or found is None:
        return reason
    if own.schemas:
        text = (
            f"{reason.peer} holds data, and this pod holds others that belong to no cluster "
            f"({listed(own.schemas)}): keep both volumes, find out which is the right one, and "
            "give the other pod a copy of it on another volume"
        )
        return replace(reason, text=text)
    if not any(one.cluster for one in peers.values()):
        return reason
    # What a replica has received and not applied is gone when it restarts.
    recover = "restart no server until 'peerdisco mysql-recover' has named that peer"
    return replace(reason, text=f"{reason.text}; {recover}")


def _is_outdated(found: ServerFacts | Unanswered, own: ServerFacts) -> bool:
    """Whether a peer that takes writes was the primary before this one: it has to be closed."""
    if isinstance(found, Unanswered) or own.read_only:
        return False
    theirs, mine = found.history.newest, own.history.newest
    if theirs is None or mine is None or theirs.id == mine.id:
        return False
    return own.history.get(theirs.id) is not None


_LET_IT_SEE = "on its server, SET sql_log_bin = 0 and GRANT SHOW DATABASES ON *.* to it"

_CANNOT_SEE = (
    "this pod's account may not list the schemas, so it is not known whether the server is empty: "
    f"{_LET_IT_SEE}"
)


def _misconfigured(own: ServerFacts) -> Iterator[Reason]:
    advice = "'peerdisco mysql-setup config' prints the configuration that it needs"
    if not own.log_bin:
        yield Reason(ServerReasonCode.MISCONFIGURED, f"the server has no binary log: {advice}")
    if not own.gtid_mode:
        yield Reason(ServerReasonCode.MISCONFIGURED, f"the server has gtid_mode off: {advice}")


def _against_own_cluster(
    own: ServerFacts, peers: Mapping[str, ServerFacts], pods: int
) -> Iterator[Reason]:
    """The peers that hold other data; one of another cluster counts only without a majority.

    Args:
        own: The server's facts, with a cluster.
        peers: The facts of the peers that answered.
        pods: How many pods there are, this one included. Those that did not answer agree with
            nobody.
    """
    assert own.cluster is not None
    agreeing = 1 + sum(
        found.cluster is not None and found.cluster.id == own.cluster.id for found in peers.values()
    )
    for name, found in peers.items():
        if found.cluster is None:
            continue  # an empty one will get a copy; one with other data is reported by its pod
        if found.cluster.id != own.cluster.id:
            holds = f"{name} holds data of the cluster {found.cluster.id}"
            if 2 * agreeing > pods:
                yield Reason(
                    ServerReasonCode.PEER_OUTVOTED,
                    f"{holds}, and {agreeing} of {pods} pods of {own.cluster.id}: it has the "
                    f"volume of another database; give {name} an empty volume, and keep the one "
                    "that it has until it is known that nobody needs those data",
                    name,
                )
            else:
                yield Reason(
                    ServerReasonCode.OTHER_CLUSTER,
                    f"{holds}, and this pod of {own.cluster.id}: keep both volumes, find out which "
                    "is the right one, and give the other pod a copy of it on another volume",
                    name,
                )
    # What a replica wrote itself does no harm here; its own sidecar reports it.
    cluster = own.cluster.id
    same = {
        name: found
        for name, found in peers.items()
        if found.cluster and found.cluster.id == cluster
    }
    yield from against_opening(own, same)


def _replicates_from(found: ServerFacts, own: ServerFacts, identity: Identity) -> bool:
    """Whether this is a replica of this pod, without transactions that this pod does not have."""
    status = found.status
    if status is None or found.cluster is not None:
        return False
    own_names = {identity.hostname, identity.pod_name}
    named = status.source_host in own_names or status.source_host.startswith(
        f"{identity.pod_name}."
    )
    return named and not found.position.beyond(own.position)


def plan_closing(own: ServerFacts) -> list[Step]:
    """The steps until this server refuses writes; none if it does."""
    return [] if own.closed else [Dialect(own.version).close()]


# A replica.


def judge_replica(
    own: ServerFacts,
    primary: ServerFacts | Unanswered | None,
    source: ReplicationSource | None,
    ordinal: int | None = None,
) -> Verdict:
    """Whether this pod's server may replicate from the primary.

    Args:
        own: The server's facts; read before the primary's, so that a transaction that only it has
            is its own.
        primary: The primary's facts; None while it is not listed.
        source: How to reach it; None while it is not listed.
        ordinal: This pod's; None if not known.
    """
    if primary is None or source is None:
        return _verdict(
            ServerReasonCode.PRIMARY_ABSENT,
            "the primary is not listed; no other pod takes its place",
        )
    if isinstance(primary, Unanswered) and primary.denied:
        return _verdict(
            ServerReasonCode.REPLICATION_ACCOUNT,
            f"the primary, {source}, rejects the login of {source.account.user}, so this pod "
            f"cannot compare its data: {primary.detail}; give that account on the primary the "
            "password of this pod's Secret, or correct the Secret; it must not be locked or "
            "expired",
        )
    if isinstance(primary, Unanswered):
        return _verdict(
            ServerReasonCode.PRIMARY_ABSENT,
            f"the primary, {source}, does not answer: {primary.detail}",
        )
    against = [*_misconfigured(own), *_mismatch(own, primary)]
    if own.holds_data is None:
        against.append(Reason(ServerReasonCode.MISCONFIGURED, _CANNOT_SEE))
    if against:
        return Verdict.of(against)
    if primary.cluster is None:
        if own.cluster is None:
            return _verdict(
                ServerReasonCode.PRIMARY_NOT_READY, f"the primary, {source}, has no database yet"
            )
        return _verdict(
            ServerReasonCode.PRIMARY_NOT_READY,
            f"the primary, {source}, holds no data of the cluster {own.cluster.id}, which this pod "
            "does: it has lost its volume; keep this volume, and restart no server until "
            "'peerdisco mysql-recover' has named the replica to restore the primary from",
        )
    if primary.status is not None:
        return _verdict(
            ServerReasonCode.PRIMARY_NOT_READY,
            f"the primary, {source}, still replicates from {primary.status.source_host}",
        )
    against = [*_against_following(own, primary, source, ordinal)]
    return Verdict.of(
        [_with_names(reason, source, ordinal) for reason in against]
        or [
            Reason(
                ServerReasonCode.FOLLOWS, f"it may follow {source}, cluster {primary.cluster.id}"
            )
        ]
    )


def _with_names(reason: Reason, source: ReplicationSource, ordinal: int | None) -> Reason:
    """The reason with the names of both pods, whose volumes nobody must take for each other."""
    primary = source.host.partition(".")[0]
    stem, _, number = primary.rpartition("-")
    names = f"the primary is {primary}"
    if ordinal is not None and number.isdecimal():
        names = f"this pod is {stem}-{ordinal}, {names}"
    return replace(reason, text=f"{reason.text} ({names})")


def _mismatch(own: ServerFacts, primary: ServerFacts) -> Iterator[Reason]:
    if own.server_id == primary.server_id:
        yield Reason(
            ServerReasonCode.MISCONFIGURED,
            f"the server has the server_id of the primary, {own.server_id}; 'peerdisco mysql-setup "
            "config' gives each pod its own",
        )
    if own.flavour is Flavour.MYSQL and own.origin == primary.origin:
        yield Reason(
            ServerReasonCode.MISCONFIGURED,
            f"the server has the server_uuid of the primary, {own.origin}: its volume is a copy of "
            "the primary's; stop this pod's server, remove auto.cnf from its data directory, and "
            "start it, so that it gets its own; its data are not wrong because of that",
        )
    if own.flavour is not primary.flavour:
        yield Reason(
            ServerReasonCode.MISCONFIGURED,
            f"the server is {own.version}, and the primary {primary.version}",
        )


def _against_following(
    own: ServerFacts, primary: ServerFacts, source: ReplicationSource, ordinal: int | None
) -> Iterator[Reason]:
    assert primary.cluster is not None
    follows = own.status is not None and own.status.source_host == source.host
    if own.cluster is not None and own.cluster.id != primary.cluster.id:
        yield Reason(
            ServerReasonCode.OTHER_CLUSTER,
            f"this pod holds data of the cluster {own.cluster.id}, and the primary of "
            f"{primary.cluster.id}: keep both volumes until you know which is the right one; if it "
            f"is the primary's, give this pod a copy on another volume{keeping_relay_logs(own)}",
        )
        return
    if own.cluster is None and own.schemas and not follows:
        yield Reason(
            ServerReasonCode.FOREIGN_DATA,
            f"this pod holds data ({listed(own.schemas)}) that did not come from the primary: "
            f"move it to the primary if it is needed, then {NEW_COPY}",
        )
        return
    if own.blank and not follows:
        against = [*_against_starting_from_nothing(primary, source)]
    else:
        # They say which volume to keep, and replication must not advise to empty it.
        against = [*against_following(own, primary)]
    # What is only in its relay logs comes before advice that gives up its volume.
    if all(reason.code is ServerReasonCode.OWN_CHANGES for reason in against):
        against = [*against_discarding(own, primary)] or against
    if against := against or [*against_replaying(own, primary, ordinal)]:
        yield from against
    elif own.status is not None and not has_unapplied(own):
        against = [*_against_status(own, own.status)]
        broken = bool(against)
        yield from [*against_discarding(own, primary, broken=broken)] or against


def _against_starting_from_nothing(
    primary: ServerFacts, source: ReplicationSource
) -> Iterator[Reason]:
    assert primary.cluster is not None
    if not primary.cluster.from_blank:
        why = "held data before it kept the log from which replicas read"
    elif primary.history.has_log_reset or primary.recorded.log_was_reset:
        why = "had its binary log reset (RESET MASTER), which no longer holds the beginning"
    elif primary.purged is not None and not primary.purged.empty:
        why = "has purged the beginning of its log"
    else:
        return
    yield Reason(
        ServerReasonCode.NEEDS_COPY, f"{source} {why}: this pod needs a copy before it can follow"
    )


def _against_status(own: ServerFacts, status: ReplicaStatus) -> Iterator[Reason]:
    if status.is_displaced:
        yield Reason(
            ServerReasonCode.MISCONFIGURED,
            "another replica has the server_uuid of this one: the volume of one of them is a copy "
            "of the other's; in the pod that was given the copy, stop the server, remove auto.cnf "
            "from its data directory, and start it, so that it gets its own; the data of neither "
            f"are wrong because of that (error {status.receiver_errno}: {status.receiver_error})",
        )
    elif needs_copy(status.receiver_errno) and status.receiver is not Receiver.RUNNING:
        yield Reason(
            ServerReasonCode.NEEDS_COPY,
            f"the primary can no longer send what this pod needs (error {status.receiver_errno}: "
            f"{status.receiver_error}); {NEW_COPY}",
        )
    elif status.receiver is Receiver.STOPPED and _stuck(status.receiver_errno):
        yield Reason(
            ServerReasonCode.REPLICATION_BROKEN,
            f"the receiver has stopped (error {status.receiver_errno}: {status.receiver_error}): "
            "correct its cause, then START REPLICA; the data need no copy because of that",
        )
    errno = status.applier_errno
    if not status.applier_running and _stuck(errno, applying=True) and own.cluster is None:
        # The row of the cluster is among the first that the whole log has.
        yield Reason(
            ServerReasonCode.NEEDS_COPY,
            "the log of the primary does not reach back to the beginning of its data, which this "
            f"pod does not have (error {errno}: {status.applier_error}): this pod needs a copy "
            "before it can follow",
        )
    elif not status.applier_running and _stuck(errno, applying=True):
        yield Reason(
            ServerReasonCode.REPLICATION_BROKEN,
            f"a transaction of the primary cannot be applied here (error {errno}: "
            f"{status.applier_error}): the data differ, so a client may have written here; give "
            "this pod a copy on another volume, and keep this one until it is known that nobody "
            "needs what only it has",
        )


def _stuck(errno: int, *, applying: bool = False) -> bool:
    return errno != 0 and classify(errno, applying=applying) is Action.REFUSE


def _verdict(code: ServerReasonCode, text: str) -> Verdict:
    return Verdict.of([Reason(code, text)])


def plan_replica(own: ServerFacts, source: ReplicationSource, *, mend: bool = True) -> list[Step]:
    """The steps until this server, which may replicate from there, does; none if it does.

    Its history is a part of the primary's, so that all that is in its log came from there.

    Args:
        own: The server's facts.
        source: Whom to replicate from.
        mend: Whether to configure the source again where only the password, which no server
            shows, can be the reason that the login is rejected.
    """
    dialect = Dialect(own.version)
    status = own.status
    if own.blank and status is None and not own.position.empty:
        opening = dialect.open_to_some() if own.closed else ()
        steps = [*opening, *dialect.forget_own_log(), dialect.close()]
    else:
        steps = [*plan_closing(own), *plan_counting(own), *plan_marking(own)]
    if status is None:
        logged = () if own.blank else dialect.from_own_log(own.position)
        return [*steps, *logged, dialect.follow(source), dialect.start()]
    configured = (status.source_host, status.source_port, status.source_user, status.gtid)
    wanted = (source.host, source.port, source.account.user, True)
    refused = (
        status.receiver is not Receiver.RUNNING
        and status.receiver_errno != 0
        and classify(status.receiver_errno) is Action.MEND
    )
    if configured != wanted or not _verifies(status, source.trust, own) or (refused and mend):
        return [*steps, dialect.stop(), dialect.follow(source), dialect.start()]
    if status.receiver is Receiver.STOPPED or not status.applier_running:
        steps.append(dialect.start())
    return steps


def _verifies(status: ReplicaStatus, trust: SourceTrust, own: ServerFacts) -> bool:
    """Whether the replica verifies its source as configured; more does no harm."""
    key = trust.public_key if own.flavour is Flavour.MYSQL else None
    return trust.tls_ca in (None, status.tls_ca) and key in (None, status.public_key)
