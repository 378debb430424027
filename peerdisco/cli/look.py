"""What the commands that look at a service share: their options, and the look."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from ..exceptions import ConfigurationError, DiscoveryError, NotReady, ServiceNotFound
from ..model import Answered, Empty, Failed, Identity, Observation, Snapshot
from ..names import parse_seconds

TIMEOUT = 5.0


def add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "service",
        metavar="SERVICE",
        nargs="?",
        help="the headless service: NAME, NAME.NAMESPACE or the fully qualified name "
        "(default: PEERDISCO_SERVICE, else the service that governs this pod)",
    )


def add_look(parser: argparse.ArgumentParser) -> None:
    """The options of a single lookup."""
    add_timeout(add_query(parser), help_=f"give up after so many seconds (default: {TIMEOUT:g})")


def add_query(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options of every lookup. Returns their group, for the meaning of its ``--timeout``."""
    group = parser.add_argument_group("where to look")
    add_place(group)
    group.add_argument(
        "--nameserver",
        metavar="IP[:PORT]",
        action="append",
        default=[],
        help="ask this name server; repeat it for several (default: those of /etc/resolv.conf)",
    )
    group.add_argument(
        "--resolver",
        metavar="NAME",
        help="what asks the name servers: builtin, or aiodns if it is installed (default: builtin)",
    )
    group.add_argument(
        "--statefulset", metavar="NAME", help="list the pods of this StatefulSet alone"
    )
    group.add_argument(
        "--cluster",
        metavar="NAME",
        help="list the pods of this cluster alone, behind a multi-cluster service",
    )
    group.add_argument(
        "--ordinal",
        metavar="N",
        type=_number,
        default=0,
        help="the primary's ordinal, where spec.ordinals.start is not 0 (default: %(default)s)",
    )
    group.add_argument("--port-name", metavar="NAME", help="ask for this named port")
    group.add_argument(
        "--protocol",
        metavar="NAME",
        help="the named port's protocol: tcp, udp or sctp (default: tcp)",
    )
    group.add_argument(
        "--source",
        metavar="SOURCE",
        help="dns, or static:NAME=IP[:PORT],... for a list that is given (default: dns)",
    )
    return group


def add_timeout(
    group: argparse._ArgumentGroup, default: float | None = None, *, help_: str
) -> None:
    """The option ``--timeout``, which limits one lookup, or the whole command."""
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, default=default, help=help_)


def add_place(parser: argparse._ArgumentGroup) -> None:
    """The options that complete a name."""
    parser.add_argument("--namespace", metavar="NAME", help="the namespace (default: this pod's)")
    parser.add_argument(
        "--cluster-domain", metavar="DOMAIN", help="the cluster's domain (default: this cluster's)"
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on stderr what was asked and answered"
    )


def seconds(text: str, *, zero: bool = False) -> float:
    """An option's value that is a time above 0, or with `zero` from 0."""
    try:
        return parse_seconds(text, "a time", text=True, zero=zero)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {error.expected}") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of 0 or more")
    return int(text)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look came to.

    Attributes:
        snapshot: The membership; without peers if it was answered that there are none.
        error: Why there are none, or why the look failed.
        answered: Whether it was answered at all.
    """

    snapshot: Snapshot
    error: DiscoveryError | None
    answered: bool


async def look(args: argparse.Namespace, *, timeout: float, identity: Identity | None) -> Seen:
    """Look once as the options say.

    Raises:
        ConfigurationError, IdentityError: The options cannot be used.
    """
    from ..pod.environment import read_pod_environment  # noqa: PLC0415 - not needed for --help
    from ..primary.policies import ordinal  # noqa: PLC0415
    from ..sources.once import observe_once, snapshot_from_observation  # noqa: PLC0415
    from ..sources.options import LookupOptions  # noqa: PLC0415

    options = LookupOptions(
        service=args.service,
        namespace=args.namespace,
        cluster_domain=args.cluster_domain,
        statefulset=args.statefulset,
        cluster=args.cluster,
        port_name=args.port_name,
        protocol=args.protocol,
        primary=ordinal(args.ordinal),
        identity=identity,
        nameservers=args.nameserver,
        resolver=args.resolver,
        source=args.source,
    )
    plan = options.plan(read_pod_environment())
    async with plan.opened() as source:
        observation, may_be_stale = await observe_once(source, timeout=timeout)
        if may_be_stale:
            print(f"peerdisco: {may_be_stale_in_words(source.service)}", file=sys.stderr)
        if args.verbose:
            print(f"peerdisco: {_in_words(observation, source.service)}", file=sys.stderr)
        try:
            snapshot = snapshot_from_observation(
                observation, source.service, plan.builder, may_be_stale=may_be_stale
            )
            return Seen(snapshot, None, True)
        except ServiceNotFound as error:
            return Seen(error.snapshot, error, True)
        except DiscoveryError as error:
            return Seen(plan.builder.snapshot(source.service, (), observed_at=None), error, False)


def may_be_stale_in_words(service: str) -> str:
    """What `Snapshot.may_be_stale` means, as a remark."""
    return (
        f"{service}: the list may be out of date: every answer has TTL 0, as from a cache that "
        "serves stale answers while its upstream is unreachable, or from a zone configured with it"
    )


def timeout_in_words(error: NotReady) -> str:
    """The message of a command that timed out, with the error of the last lookup if it failed."""
    if error.__cause__ is None:
        return str(error)
    return f"{error}; the last lookup failed: {' '.join(str(error.__cause__).split())}"


def _in_words(observation: Observation, service: str) -> str:
    match observation:
        case Answered(peers=peers, ttl=ttl, attempt=attempt):
            return f"{service}: {len(peers)} peers, TTL {ttl:g} s: {attempt or 'given'}"
        case Empty(attempt=attempt):
            return f"{service}: no peers: {attempt}"
        case Failed(error=error):
            return f"{service}: failed: {type(error).__name__}"
