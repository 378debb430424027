"""The options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

from ..exceptions import ConfigurationError, DiscoveryError
from ..names import parse_seconds

if TYPE_CHECKING:
    from ..model import Identity, PrimaryPolicy

LOOKUP_TIMEOUT = 5.0
"""Seconds that a lookup may take by default."""


class UsageError(DiscoveryError):
    """Options that do not go together; its text says what to do."""


def add_service(parser: argparse.ArgumentParser) -> None:
    """The argument ``SERVICE``."""
    parser.add_argument(
        "service",
        metavar="SERVICE",
        nargs="?",
        help="the headless service: NAME, NAME.NAMESPACE or the fully qualified name "
        "(default: PEERDISCO_SERVICE, else the service that governs this pod)",
    )


def add_lookup(parser: argparse.ArgumentParser) -> None:
    """The options of a command that makes one lookup."""
    group = add_query(parser)
    add_timeout(group, help_=f"give up after this time (default: {LOOKUP_TIMEOUT:g})")


def add_query(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options that say what is looked up, and where; all but ``--timeout``.

    Returns:
        Their group.
    """
    group = parser.add_argument_group("lookup")
    add_namespace(group)
    group.add_argument(
        "--nameserver",
        metavar="IP[:PORT]",
        action="append",
        default=[],
        help="query this name server; repeat it for several (default: those of /etc/resolv.conf)",
    )
    group.add_argument(
        "--resolver",
        metavar="NAME",
        help="the DNS client: builtin, or aiodns if it is installed (default: builtin)",
    )
    group.add_argument(
        "--statefulset", metavar="NAME", help="list only the pods of this StatefulSet"
    )
    group.add_argument(
        "--cluster",
        metavar="NAME",
        help="list only the pods of this cluster, behind a multi-cluster service",
    )
    group.add_argument(
        "--ordinal",
        metavar="N",
        type=whole_number(0, 2**31 - 1, "a number of 0 or more"),
        default=0,
        help="the primary's ordinal, if spec.ordinals.start is not 0 (default: %(default)s)",
    )
    group.add_argument(
        "--port-name",
        metavar="NAME",
        action="append",
        help="list the pods with this named port; repeat it for several",
    )
    group.add_argument(
        "--protocol",
        metavar="NAME",
        help="the protocol of the named port: tcp, udp or sctp (default: tcp)",
    )
    group.add_argument(
        "--source",
        metavar="SOURCE",
        help="dns, or static:NAME=IP[:PORT],... for a fixed list (default: dns)",
    )
    return group


class QueryArguments(TypedDict):
    """The arguments that `LookupOptions` and `Discovery` have in common."""

    service: str | None
    namespace: str | None
    cluster_domain: str | None
    statefulset: str | None
    cluster: str | None
    port_name: list[str] | None
    protocol: str | None
    primary: PrimaryPolicy
    identity: Identity | None
    nameservers: Sequence[str]
    resolver: str | None
    source: str | None


def query_arguments(args: argparse.Namespace, identity: Identity | None) -> QueryArguments:
    """The values of the options of `add_service` and `add_query`, as arguments.

    Args:
        args: The parsed options.
        identity: The identity of this pod, if the command needs it.
    """
    from ..primary.policies import ordinal  # noqa: PLC0415 - not needed for --help

    return {
        "service": args.service,
        "namespace": args.namespace,
        "cluster_domain": args.cluster_domain,
        "statefulset": args.statefulset,
        "cluster": args.cluster,
        "port_name": args.port_name,
        "protocol": args.protocol,
        "primary": ordinal(args.ordinal),
        "identity": identity,
        "nameservers": args.nameserver,
        "resolver": args.resolver,
        "source": args.source,
    }


def add_timeout(
    group: argparse._ArgumentGroup, default: float | None = None, *, help_: str
) -> None:
    """The option ``--timeout``, which limits one lookup, or the whole command."""
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, default=default, help=help_)


def add_namespace(group: argparse._ArgumentGroup) -> None:
    """The options that complete the name of a service."""
    group.add_argument("--namespace", metavar="NAME", help="the namespace (default: this pod's)")
    group.add_argument(
        "--cluster-domain", metavar="DOMAIN", help="the cluster domain (default: this cluster's)"
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """The option ``--verbose`` of a command that makes one lookup."""
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="report the DNS queries and answers on stderr"
    )


def seconds(text: str, *, zero: bool = False) -> float:
    """The value of an option that is a time: above 0, or with `zero` from 0."""
    try:
        return parse_seconds(text, "a time", text=True, zero=zero)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {error.expected}") from None


def whole_number(least: int, most: int, expected: str) -> Callable[[str], int]:
    """The type of an option that is a whole number from `least` to `most`.

    Args:
        least: The smallest number.
        most: The largest number.
        expected: What an error says was expected.
    """

    def parse(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not digits or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
        return int(text)

    return parse


port = whole_number(1, 65535, "a port from 1 to 65535")
