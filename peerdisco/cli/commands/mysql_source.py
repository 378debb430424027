"""``peerdisco mysql-source``: find the pods whose data may be copied or backed up."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from ...exceptions import ConfigurationError
from ...wording.foreign import escaped
from ..exit_status import NO, OK, TIMED_OUT
from ..lookup import lookup
from ..mysql_peers import add_peer_servers, peer_servers
from ..options import (
    LOOKUP_TIMEOUT,
    UsageError,
    add_query,
    add_service,
    add_timeout,
    whole_number,
)
from ..progress import (
    print_line,
    print_waiting,
    progress,
    reason_in_words,
    updated_line,
)
from ..signals import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...model import Peer, Snapshot
    from ...mysql.copies import Health
    from ...mysql.decisions import Unanswered
    from ...mysql.facts import ServerFacts

SUMMARY = "find the pods whose data may be copied, backed up or replaced"
DESCRIPTION = """\
Prints host names, one a line, in the order in which they are to be used. A replica is printed only
if its sidecar reports it as ready, and if its data are of the primary's cluster and history. A
replica that its own sidecar refuses is never printed, so that a copy does not inherit its fault.

'copy' prints the replicas with lower ordinals than this pod's, the nearest first, and then the
primary, which has to be open, or empty on the first start. 'backup' prints the replicas, the
highest ordinal first, and the primary only with --or-primary.

'replace' prints the name of the pod that --pod names, if its volume may be emptied to give it a new
copy: the primary is open, and has everything that this replica has executed or received."""
EPILOG = """\
exit status:
  0  printed
  1  'replace': the volume has to be kept; stderr says why
  2  a usage error, or the lookup failed
  5  timed out: no pod may be copied; stderr says why
  6  the output cannot be written: stdout is closed, or its disk is full
  128 + N  ended by signal N: 130 by SIGINT, 143 by SIGTERM

example:
  peerdisco mysql-source copy my-database
  peerdisco mysql-source backup my-database | head -n 1
  peerdisco mysql-source replace my-database --pod mysql-2
"""
TIMEOUT = 300.0
HEALTH_PORT = 8080
_HEALTH_TIMEOUT = 5.0
_LARGEST_REPORT = 65536
_PAUSE = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "purpose", choices=("copy", "backup", "replace"), help="what is to be done with the data"
    )
    add_service(parser)
    which = parser.add_argument_group("which pods")
    which.add_argument(
        "--from",
        metavar="NAME",
        dest="only",
        help="use this pod or none, also if its ordinal is higher than this pod's",
    )
    which.add_argument(
        "--or-primary",
        action="store_true",
        help="print the primary last, for 'backup' where there may be no replica",
    )
    which.add_argument(
        "--pod", metavar="NAME", help="with 'replace': the replica whose volume is to be emptied"
    )
    parser.add_argument_group("the sidecars").add_argument(
        "--health-port",
        metavar="N",
        type=whole_number(0, 65535, "a port, or 0"),
        default=HEALTH_PORT,
        help="the port of /readyz; 0: do not ask the sidecars, and compare the servers' histories "
        "alone (default: %(default)s)",
    )
    add_peer_servers(parser)
    add_query(parser)
    waiting = parser.add_argument_group("waiting")
    add_timeout(waiting, TIMEOUT, help_="give up after this time (default: %(default)g)")
    parser.set_defaults(verbose=False)


def run(args: argparse.Namespace) -> int:
    return run_until_signal(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from ...pod.environment import wait_for_pod_environment  # noqa: PLC0415 - not for --help
    from ...pod.identity import local_identity  # noqa: PLC0415

    if args.purpose == "replace" and args.pod is None:
        raise UsageError("'replace' needs --pod NAME, the replica whose volume is to be emptied")
    if args.purpose != "replace" and args.pod is not None:
        raise UsageError(f"--pod: got {args.pod!r}, expected none with {args.purpose!r}")
    if args.purpose == "replace":
        return await _replace(args)
    own: int | None = None
    if args.purpose == "copy":
        me = local_identity(
            namespace=args.namespace,
            cluster_domain=args.cluster_domain,
            pod_environment=await wait_for_pod_environment(),
        )
        own, args.statefulset = me.ordinal, args.statefulset or me.statefulset
        args.or_primary = True
    shown = [""]
    words = reason_in_words(lambda: "; ".join(shown), "the answers of the servers", args.timeout)
    async with progress(words, log=print_waiting):
        return await _find(args, own, shown)


async def _replace(args: argparse.Namespace) -> int:
    """Print the name of the pod whose volume may be emptied."""
    from ...mysql.copies import judge_replacement  # noqa: PLC0415 - not needed for --help
    from ...mysql.decisions import Unanswered  # noqa: PLC0415

    snapshot = await _snapshot(args)
    peers = [peer for peer in snapshot.peers if args.pod in (peer.name, peer.unique_name)]
    primary = snapshot.primary
    if len(peers) != 1:
        raise ConfigurationError("--pod", args.pod, f"one of {', '.join(snapshot.names)}")
    if peers[0] == primary:
        return _kept(args.pod, "it is the primary")
    servers = peer_servers(args)
    found = await servers.ask(peers[0])
    source: ServerFacts | Unanswered = Unanswered("it is not listed")
    health: Health | None = None
    if primary is not None:
        source = await servers.ask(primary)  # after it: it is not ahead by time alone
        health = (await _health_of([primary], args.health_port))[primary.unique_name]
    why = judge_replacement(found, source, health)
    if why is not None:
        return _kept(args.pod, why)
    print(args.pod)
    return OK


def _kept(pod: str, why: str) -> int:
    print_line(escaped(" ".join(f"the volume of {pod} must not be emptied: {why}".split())))
    return NO


async def _find(args: argparse.Namespace, own: int | None, shown: list[str]) -> int:
    """Look for sources until there is one; `shown` has the reasons why there is none yet."""
    begun = time.monotonic()
    while True:
        hosts, why = await _usable(args, await _snapshot(args), own)
        if why != shown:
            shown[:] = why
            for line in why:
                print_line(escaped(" ".join(line.split())))
        if hosts:
            updated_line.clear()
            print("\n".join(hosts))
            return OK
        if time.monotonic() - begun >= args.timeout:
            return TIMED_OUT
        await asyncio.sleep(_PAUSE)


async def _snapshot(args: argparse.Namespace) -> Snapshot:
    result = await lookup(args, timeout=LOOKUP_TIMEOUT, identity=None)
    if result.error is not None and not result.answered:
        raise result.error
    return result.snapshot


async def _usable(
    args: argparse.Namespace, snapshot: Snapshot, own: int | None
) -> tuple[list[str], list[str]]:
    """The hosts that may be used, in order, and why the others may not."""
    from ...mysql.copies import judge_source_of_all  # noqa: PLC0415 - not needed for --help
    from ...mysql.facts import ServerFacts  # noqa: PLC0415

    primary = snapshot.primary
    if primary is None:
        return [], ["the primary is not listed"]
    if args.only is not None and args.only not in snapshot:
        return [], [f"--from {args.only}: this pod is not listed"]
    servers = peer_servers(args)
    replicas = _candidates(snapshot, own, args.only)
    facts: dict[str, ServerFacts | Unanswered] = await servers.ask_all(replicas)
    source = await servers.ask(primary)  # after them: none is ahead by time alone
    health = await _health_of([primary, *replicas], args.health_port)
    against = judge_source_of_all(source, health[primary.unique_name])
    if against is not None or not isinstance(source, ServerFacts):
        return [], [f"{primary}: {against}"]
    if source.blank and args.purpose == "backup":
        return [], [f"{primary} holds no data yet"]
    hosts, why = _judged([] if source.blank else replicas, facts, health, source)
    if args.or_primary and args.only in {None, primary.name, primary.unique_name}:
        hosts.append(primary.hostname)
    if not hosts:
        why.append("there is no pod that may be used")
    return hosts, why


def _judged(
    replicas: list[Peer],
    facts: Mapping[str, ServerFacts | Unanswered],
    health: Mapping[str, Health | None],
    primary: ServerFacts,
) -> tuple[list[str], list[str]]:
    """The hosts of the replicas that may be used, and why the others may not."""
    from ...mysql.copies import judge_replica_as_source  # noqa: PLC0415 - not needed for --help

    hosts, why = [], []
    for peer in replicas:
        reason = judge_replica_as_source(facts[peer.unique_name], health[peer.unique_name], primary)
        if reason is None:
            hosts.append(peer.hostname)
        else:
            why.append(f"{peer} is not used: {reason}")
    return hosts, why


def _candidates(snapshot: Snapshot, own: int | None, source: str | None) -> list[Peer]:
    """The replicas that may be used, the best first; for a copy those below this pod."""
    primary = snapshot.primary
    known = [peer for peer in snapshot.peers if peer.ordinal is not None and peer != primary]
    if source is not None:
        return [peer for peer in known if source in (peer.name, peer.unique_name)]
    known.sort(key=lambda peer: peer.ordinal or 0, reverse=True)
    return [peer for peer in known if own is None or (peer.ordinal or 0) < own]


async def _health_of(peers: list[Peer], health_port: int) -> dict[str, Health | None]:
    if not health_port:
        return dict.fromkeys(peer.unique_name for peer in peers)
    reports = await asyncio.gather(
        *(asyncio.to_thread(_health, str(peer.address), health_port) for peer in peers)
    )
    return {peer.unique_name: health for peer, health in zip(peers, reports, strict=True)}


def _health(address: str, health_port: int) -> Health:
    """What the sidecar at an address reports."""
    from ...mysql.copies import Health  # noqa: PLC0415 - not needed for --help

    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{health_port}/readyz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with opener.open(url, timeout=_HEALTH_TIMEOUT) as answer:
                text = answer.read(_LARGEST_REPORT)
        except urllib.error.HTTPError as error:  # not ready: the report says why
            text = error.read(_LARGEST_REPORT)
        report = json.loads(text)
    except (OSError, ValueError) as error:
        return Health(False, "", str(error))
    return Health.of_report(report if isinstance(report, dict) else {})
