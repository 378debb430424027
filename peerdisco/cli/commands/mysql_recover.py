"""``peerdisco mysql-recover``: find the replica from which a lost primary can be restored."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from ...exceptions import ConfigurationError
from ...wording.foreign import escaped
from ..exit_status import NO, OK, TIMED_OUT
from ..lookup import lookup
from ..mysql_options import add_replicas, replicas_of
from ..mysql_peers import add_peer_servers, peer_servers
from ..options import LOOKUP_TIMEOUT, add_query, add_service, add_timeout
from ..progress import (
    print_line,
    print_waiting,
    progress,
    reason_in_words,
    updated_line,
)
from ..signals import run_until_signal

if TYPE_CHECKING:
    from ...model import Snapshot

SUMMARY = "find the replica from which a primary that lost its volume can be restored"
DESCRIPTION = """\
For an operator, and for the init container that restores the primary. It prints the name of the
replica that has everything that any replica received from the lost primary, and changes nothing.

It asks all replicas what they have received and what they have applied. A replica that restarts
throws away what it had not applied, so until this command has printed a name nothing may be
restarted: it waits until the replica with the most transactions has applied all of them.

It refuses, with the reason, while the primary holds data or may hold data, while a replica does not
answer, and when no replica has everything."""
EPILOG = """\
exit status:
  0  the name of the replica is printed
  1  refused; stderr says why, and nothing may be restored or restarted now
  2  a usage error, or the lookup failed
  5  timed out: a replica still applies what it has received, or does not answer
  6  the output cannot be written: stdout is closed, or its disk is full
  128 + N  ended by signal N: 130 by SIGINT, 143 by SIGTERM

example, where mysql-0 has lost its volume:
  kubectl exec mysql-1 --container peerdisco -- peerdisco mysql-recover
"""
TIMEOUT = 3600.0
PATIENCE = 30.0
"""Seconds after which the command ends while it waits for anything but a replica that applies."""
_PAUSE = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    group = parser.add_argument_group("recovery")
    add_replicas(group)
    group.add_argument(
        "--primary-lost",
        action="store_true",
        help="the primary's volume is known to be destroyed, although its server does not answer",
    )
    group.add_argument(
        "--without",
        metavar="POD",
        action="append",
        default=[],
        help="leave this replica out, and lose what only it has received; repeat it for several",
    )
    group.add_argument(
        "--from", metavar="POD", dest="wanted", help="accept only this replica as the source"
    )
    add_peer_servers(parser)
    add_query(parser)
    add_timeout(
        parser.add_argument_group("waiting"),
        TIMEOUT,
        help_="give up after this time (default: %(default)g)",
    )
    parser.set_defaults(verbose=False)


def run(args: argparse.Namespace) -> int:
    return run_until_signal(_run(args))


async def _run(args: argparse.Namespace) -> int:
    shown = [""]
    words = reason_in_words(lambda: shown[0], "the answers of the servers")
    async with progress(words, log=print_waiting):
        return await _recover(args, shown)


async def _recover(args: argparse.Namespace, shown: list[str]) -> int:
    """Look for the source until there is one; `shown` has the reason why there is none yet."""
    from ...mysql.recovery import judge_recovery  # noqa: PLC0415 - not needed for --help

    servers = peer_servers(args)
    count = replicas_of(args)
    if count is None:
        raise ConfigurationError(
            "--replicas", "nothing", "the number of pods, so that none is forgotten"
        )
    begun, named = time.monotonic(), None
    while True:
        snapshot = await _snapshot(args)
        primary, expected = _names(snapshot, args, count)
        found = await servers.ask_all(
            peer for peer in snapshot.peers if peer.unique_name in {primary, *expected}
        )
        recovery = judge_recovery(
            primary, found, expected, primary_lost=args.primary_lost, wanted=args.wanted
        )
        if recovery.source is not None and recovery.source == named:
            updated_line.clear()
            print(recovery.source)
            return OK
        named = recovery.source
        if named is not None:
            # What a dead connection still held has been received by the second time.
            await asyncio.sleep(_PAUSE)
            continue
        words = "; ".join(recovery.refused or recovery.waits_for)
        if words != shown[0]:
            shown[0] = words
            _say(words)
        limit = args.timeout if recovery.applying else min(PATIENCE, args.timeout)
        if recovery.refused or time.monotonic() - begun >= limit:
            _say("nothing is restored; do not restart any pod")
            return NO if recovery.refused else TIMED_OUT
        await asyncio.sleep(_PAUSE)


async def _snapshot(args: argparse.Namespace) -> Snapshot:
    result = await lookup(args, timeout=LOOKUP_TIMEOUT, identity=None)
    if result.error is not None and not result.answered:
        raise result.error
    return result.snapshot


def _names(snapshot: Snapshot, args: argparse.Namespace, count: int) -> tuple[str, list[str]]:
    """The names of the primary's pod and of the replicas that have to answer.

    Raises:
        ConfigurationError: The StatefulSet is not known, or a pod to leave out does not exist.
    """
    from ...mysql.recovery import possible_ordinals  # noqa: PLC0415 - not needed for --help

    sets = {peer.statefulset for peer in snapshot.peers} - {None}
    name = args.statefulset or (sets.pop() if len(sets) == 1 else None)
    if name is None:
        raise ConfigurationError(
            "--statefulset", "nothing", "its name: the listed pods do not show it"
        )
    primary = f"{name}-{args.ordinal}"
    listed = {peer.ordinal for peer in snapshot.peers if peer.ordinal is not None}
    ordinals = possible_ordinals({args.ordinal, *listed}, count)
    replicas = [f"{name}-{ordinal}" for ordinal in sorted(ordinals - {args.ordinal})]
    for option, pods in (("--without", args.without), ("--from", [args.wanted])):
        for pod in filter(None, pods):
            if pod not in replicas:
                raise ConfigurationError(option, pod, f"one of {', '.join(replicas)}")
    return primary, [pod for pod in replicas if pod not in args.without]


def _say(text: str) -> None:
    print_line(escaped(" ".join(text.split())))
