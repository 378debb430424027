"""Bring a server into its role: from its facts to a verdict, and the steps that are missing.

Everything here is idempotent: a second run has nothing to do. Everything can be interrupted at any
moment: the next run continues from the server's state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from ..model import Identity, Snapshot
from ..primary.verdicts import Verdict
from .decisions import (
    Unanswered,
    judge_primary,
    judge_replica,
    plan_closing,
    plan_replica,
)
from .dialects import Dialect, ReplicationSource, Step
from .durability import set_waiting
from .errors import DatabaseError, has_broken_relay_logs
from .facts import Executor, ServerFacts, read_facts
from .history import History
from .literals import SESSION
from .opening import plan_after_reset, plan_primary, plan_restoring
from .setup import Account, replication_account_sql
from .stopping import Received, plan_stopping, what_was_received
from .tables import CLUSTER_SCHEMA
from .versions import Flavour
from .waiting_commits import may_share_group, waits_for_group

__all__ = [
    "LOGGED",
    "Ensured",
    "do_steps",
    "ensure_account",
    "ensure_closed",
    "ensure_epoch_after_reset",
    "ensure_history",
    "ensure_primary",
    "ensure_replica",
    "nudge",
    "try_closing",
]


@dataclass(frozen=True, slots=True)
class Ensured:
    """The outcome.

    Attributes:
        verdict: Whether the server may be what it was to become, and why.
        done: What was done, in words and in order; nothing where nothing was to be done.
    """

    verdict: Verdict
    done: tuple[str, ...] = ()


async def ensure_primary(
    server: Executor,
    name: str,
    own: ServerFacts,
    peers: Mapping[str, ServerFacts | Unanswered],
    snapshot: Snapshot,
    identity: Identity,
    *,
    expected: int | None = None,
    first_start: bool = False,
    before_epoch: Sequence[Step] = (),
    before_open: Sequence[Step] = (),
) -> Ensured:
    """Let this pod's server take writes, if it is the primary and has, or may begin, the data.

    Where it may not, it is made read-only.

    Args:
        server: A connection to it.
        name: What to call it in an error.
        own: Its facts, read after the peers'.
        peers: The facts of the other pods' servers.
        snapshot: The membership.
        identity: Who this pod is.
        expected: How many pods there should be; see `peerdisco.may_bootstrap`.
        first_start: Whether the user said that this is the first start.
        before_epoch: Steps after which an epoch may begin on a server that is read-only.
        before_open: Steps after which it may take writes, when all else is done.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    verdict = judge_primary(
        own, peers, snapshot, identity, expected=expected, first_start=first_start
    )
    if verdict:
        ordinal = identity.ordinal or 0
        done = await _open(server, name, own, ordinal, before_epoch, before_open)
        return Ensured(verdict, done)
    return Ensured(verdict, await ensure_closed(server, name, own))


async def ensure_epoch_after_reset(
    server: Executor, name: str, ordinal: int, *, semi_sync: bool = False
) -> tuple[str, ...]:
    """Begin an epoch on an open primary whose binary log was reset; what was done.

    Args:
        server: A connection to it.
        name: What to call it in an error.
        ordinal: The pod's.
        semi_sync: Whether its transactions wait for an acknowledgement.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    epoch = _new_id()
    # Facts from before the reset would give the epoch the number of the log of before.
    own = await read_facts(server, name)
    closed = await _end_waiting_beats(server, name, own) if semi_sync else ()

    def plan(*, beats: bool) -> list[Step]:
        steps = plan_after_reset(own, epoch, ordinal, semi_sync=semi_sync, beats=beats)
        return [*steps, *([*_waiting_again(own), Dialect(own.version).open()] if closed else [])]

    return (*closed, *await _begin(server, name, own, plan))


async def ensure_history(
    server: Executor, name: str, own: ServerFacts, known: History
) -> tuple[str, ...]:
    """Restore what somebody deleted or changed of an open primary's history; what was done.

    Args:
        server: A connection to it.
        name: What to call it in an error.
        own: Its facts.
        known: Its history when it was last found to be the right primary.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    return await do_steps(server, name, plan_restoring(own, known))


def _new_id() -> str:
    import uuid  # noqa: PLC0415 - a replica never needs it

    return str(uuid.uuid4())


_BEAT = f"UPDATE {CLUSTER_SCHEMA}.heartbeat "


async def _end_waiting_beats(server: Executor, name: str, own: ServerFacts) -> tuple[str, ...]:
    """End this account's sessions in which a heartbeat waits for a replica that never comes.

    It has the lock of the row that the next epoch changes. It is written all the same.

    Returns:
        What was done, if the server is read-only afterwards, and on MySQL waits for nothing any
        more. So it is where commits of clients may wait too: a heartbeat that waits in the group
        of another session goes on when that one ends, and the commits of its own group would be
        acknowledged with it. On MariaDB, commits may still join a group that waits.
    """
    doing = "looking for a heartbeat that waits"
    try:
        sessions = await server.execute("SHOW PROCESSLIST")
    except Exception as error:
        raise DatabaseError.of(error, name, doing) from error
    beats = [one for one in sessions if str(one.get("Info") or "").startswith(_BEAT)]
    joined = own.flavour is Flavour.MARIADB or may_share_group(sessions, beats)
    if beats and joined and waits_for_group(sessions):
        return await do_steps(server, name, [Dialect(own.version).close()])
    for session in beats:
        # It may have ended meanwhile, which is an error.
        with contextlib.suppress(DatabaseError):
            await do_steps(server, name, [Step(doing, f"KILL {int(session['Id'])}")])
    return ()


def _waiting_again(own: ServerFacts) -> list[Step]:
    """What comes before a server is opened that was closed to end a heartbeat that waited."""
    doing = "enabling semi-synchronous replication"
    return [Step(doing, set_waiting(own.flavour, True))] if own.flavour is Flavour.MYSQL else []


async def _open(
    server: Executor,
    name: str,
    own: ServerFacts,
    ordinal: int,
    before_epoch: Sequence[Step],
    before_open: Sequence[Step],
) -> tuple[str, ...]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    cluster, epoch = _new_id(), _new_id()
    closed: tuple[str, ...] = ()
    if own.recorded.log_was_reset:
        # Some of the facts may have been read before the reset, such as the number of the log.
        own = await read_facts(server, name)
        if not own.read_only:
            closed = await _end_waiting_beats(server, name, own)
            if closed:
                own = await read_facts(server, name)
                before_open = [*before_open, *_waiting_again(own)]
    done = await _begin(
        server,
        name,
        own,
        lambda *, beats: plan_primary(
            own,
            cluster,
            now,
            epoch,
            ordinal,
            before_epoch=before_epoch,
            before_open=before_open,
            beats=beats,
        ),
    )
    return (*closed, *done)


class _Plan(Protocol):
    def __call__(self, *, beats: bool) -> list[Step]: ...


async def _begin(server: Executor, name: str, own: ServerFacts, plan: _Plan) -> tuple[str, ...]:
    """Do a plan that may begin an epoch.

    An account that was made by an earlier version may not renew the heartbeat. The history is kept
    without it.
    """
    try:
        return await do_steps(server, name, plan(beats=True))
    except DatabaseError as error:
        if error.errno not in _MAY_NOT_UPDATE or own.history.heartbeat is None:
            raise
    doing = "beginning an epoch"
    undone = [Step(doing, "ROLLBACK"), Step(doing, "SET SESSION sql_log_bin = 1")]
    await do_steps(server, name, undone)
    return await do_steps(server, name, plan(beats=False))


_MAY_NOT_UPDATE = (1142, 1143)
"""The account lacks a privilege on a table, or on a column."""


async def ensure_replica(
    server: Executor,
    name: str,
    own: ServerFacts,
    primary: ServerFacts | Unanswered | None,
    source: ReplicationSource | None,
    *,
    mend: bool = True,
    ordinal: int | None = None,
    kept: bool = False,
) -> Ensured:
    """Let this pod's server replicate from the primary, if what it has is the primary's.

    It is read-only in any case. Where it may not replicate because its data are others, it receives
    nothing more, and applies what is known to be of its own history. Where the primary is away,
    replication is left as it is. Relay logs that a crash left unreadable are discarded where it may
    replicate: the primary has all of its history, and sends it again.

    Args:
        server: A connection to it.
        name: What to call it in an error.
        own: Its facts, read before the primary's.
        primary: The primary's facts; None while it is not listed.
        source: How to reach the primary; None while it is not listed.
        mend: Whether to configure the source again where the password may be the reason that the
            login is rejected.
        ordinal: This pod's; None if not known.
        kept: Whether its receiver has not run since it was found to have received nothing of
            another history.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    verdict = judge_replica(own, primary, source, ordinal)
    if verdict:
        assert source is not None
        steps = plan_replica(own, source, mend=mend)
    elif verdict.waits:
        steps = plan_closing(own)
    else:
        return Ensured(verdict, await _stop(server, name, own, primary, ordinal, kept=kept))
    secrets = (source.account.password,) if source is not None else ()
    try:
        done = await do_steps(server, name, steps, secrets)
    except DatabaseError as error:
        if not verdict or not has_broken_relay_logs(error):
            raise
        steps = [Dialect(own.version).discard_relay_logs(), *steps]
        done = await do_steps(server, name, steps, secrets)
    return Ensured(verdict, done)


async def _stop(
    server: Executor,
    name: str,
    own: ServerFacts,
    primary: ServerFacts | Unanswered | None,
    ordinal: int | None,
    *,
    kept: bool,
) -> tuple[str, ...]:
    """Let a replica receive nothing more; what was done."""
    asked = primary if isinstance(primary, ServerFacts) else None
    steps = plan_stopping(own, asked, ordinal=ordinal, kept=kept)
    done = await do_steps(server, name, [*plan_closing(own), *steps])
    dialect = Dialect(own.version)
    if dialect.stop_receiver() not in steps or asked is None:
        return done
    # The primary may have written, and sent, more until the receiver had stopped.
    if what_was_received(own, asked) is Received.FROM_BEFORE:
        now = await read_facts(server, name)
        if now.received != own.received:
            done += await do_steps(server, name, [dialect.stop()])
    return done


async def ensure_closed(server: Executor, name: str, own: ServerFacts) -> tuple[str, ...]:
    """Make a server refuse writes; what was done.

    Its statement waits for commits, which may wait for a replica; see ``waiting_commits``.

    Raises:
        DatabaseError: The statement was refused, or the server did not answer.
    """
    return await do_steps(server, name, plan_closing(own))


async def try_closing(server: Executor, name: str, own: ServerFacts, within: int) -> str | None:
    """Make a server refuse writes, unless a client keeps it from that; why not, or None.

    All writes wait for the statement, and it waits for locks of clients.

    Args:
        server: A connection to it.
        name: What to call it in an error.
        own: Its facts.
        within: Seconds after which it is given up.

    Raises:
        DatabaseError: The statement was refused, or the server did not answer.
    """
    doing = "making it read-only"
    # Until the session is set up again, which `do_steps` begins with.
    limit = Step(doing, f"SET SESSION lock_wait_timeout = {within}")
    try:
        await do_steps(server, name, [limit, *plan_closing(own)])
    except DatabaseError as error:
        if error.errno != _LOCK_WAIT_TIMEOUT:
            raise
        return f"{doing}: a statement or a lock of a client does not end within {within} s"
    return None


_LOCK_WAIT_TIMEOUT = 1205


async def ensure_account(
    server: Executor, name: str, own: ServerFacts, account: Account
) -> tuple[str, ...]:
    """Make the account with which replicas and probes log in, or give it this password.

    Nothing of it is written to the binary log: every server has its own.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    dialect = Dialect(own.version)
    doing = f"making the account {account.user}"
    steps = [*dialect.open_to_some()] if own.closed else []
    steps += [Step(doing, sql) for sql in replication_account_sql(own.flavour, account)]
    if own.closed and dialect.open_to_some():
        steps.append(dialect.close())
    try:
        return await do_steps(server, name, steps, (account.password,))
    except DatabaseError:
        # Whoever uses the connection further writes what replicas must get.
        await do_steps(server, name, [Step("logging its statements again", LOGGED)])
        raise


LOGGED = "SET SESSION sql_log_bin = 1"


async def nudge(server: Executor, name: str, own: ServerFacts) -> tuple[str, ...]:
    """Make the receiver of a replica reconnect at once; what was done.

    A receiver whose source disappeared without closing the connection waits for its timeout. A new
    address of the source in DNS shows earlier that the connection is dead.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    if own.status is None:
        return ()
    dialect = Dialect(own.version)
    return await do_steps(server, name, [dialect.stop_receiver(), dialect.start_receiver()])


async def do_steps(
    server: Executor, name: str, steps: Sequence[Step], secrets: Iterable[str] = ()
) -> tuple[str, ...]:
    """Do the steps in order; the first that fails ends it. Returns what was done, in words.

    Raises:
        DatabaseError: A statement was refused, or the server did not answer.
    """
    if not steps:
        return ()
    for step in (Step("setting up the session", SESSION), *steps):
        try:
            await server.execute(step.sql)
        except Exception as error:  # noqa: BLE001 - reported as a DatabaseError
            failure = DatabaseError.of(error, name, step.doing, secrets)
            # The driver's own error may hold the statement, and with it a password.
            raise failure from None
    return tuple(dict.fromkeys(step.doing for step in steps))
