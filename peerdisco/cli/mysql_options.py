"""Options that the commands for databases share, each also as a variable."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable

from ..exceptions import ConfigurationError
from .options import port, whole_number

PORT = 3306
PORT_VARIABLE = "PEERDISCO_MYSQL_PORT"
"""Kubernetes may set a variable of this name itself: ``NAME_PORT`` of each Service in the
namespace (https://kubernetes.io/docs/concepts/services-networking/service/)."""
REPLICAS_VARIABLE = "PEERDISCO_MYSQL_REPLICAS"
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")

_count = whole_number(1, 1_000_000, "a number of pods, 1 or more")


def add_replicas(group: argparse._ArgumentGroup) -> None:
    """The option ``--replicas``."""
    group.add_argument(
        "--replicas",
        metavar="N",
        type=_count,
        help=f"the number of pods, spec.replicas (default: {REPLICAS_VARIABLE})",
    )


def replicas_of(args: argparse.Namespace) -> int | None:
    """The number of pods; None if it is not given.

    Raises:
        ConfigurationError: The variable is not a number of pods.
    """
    return _setting(args.replicas, REPLICAS_VARIABLE, _count)


def port_of(args: argparse.Namespace) -> int:
    """The port of the servers.

    Raises:
        ConfigurationError: The variable is not a port.
    """
    return _setting(args.port, PORT_VARIABLE, port) or PORT


def _setting(given: int | None, variable: str, parse: Callable[[str], int]) -> int | None:
    """The value of an option, else of its variable."""
    text = os.environ.get(variable)
    if given is not None or not text:
        return given
    if variable == PORT_VARIABLE and _SERVICE_LINK.match(text):
        print(
            f"peerdisco: ignoring {variable}={text}, which Kubernetes sets for the Service "
            "'peerdisco-mysql' (enableServiceLinks: false in the pod's spec prevents that); "
            f"using port {PORT}: set another one with --port",
            file=sys.stderr,
            flush=True,
        )
        return None
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        raise ConfigurationError(variable, text, str(error).partition("expected ")[2]) from None
