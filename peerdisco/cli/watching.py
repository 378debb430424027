"""The options of the commands that poll a service, and the `Discovery` that they describe."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .options import LOOKUP_TIMEOUT, add_query, add_timeout, query_arguments, seconds

if TYPE_CHECKING:
    from ..discovery import Discovery
    from ..model import Identity

INTERVAL = 2.0
"""Seconds between two polls by default."""


def add_polling(parser: argparse.ArgumentParser, interval: float = INTERVAL) -> None:
    """The options of a command that polls until it is ended.

    Args:
        parser: The parser of the command.
        interval: The default of ``--interval`` that the help shows.
    """
    add_query(parser)
    group = parser.add_argument_group("polling")
    add_timeout(group, LOOKUP_TIMEOUT, help_="how long a lookup may take (default: %(default)g)")
    add_pace(group, interval)


def add_pace(group: argparse._ArgumentGroup, interval: float = INTERVAL) -> None:
    """The options for the interval of the polls, and for the hold of a departure."""
    group.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        help=f"seconds between two lookups (default: PEERDISCO_INTERVAL, else {interval:g})",
    )
    group.add_argument(
        "--leave-after",
        metavar="SECONDS",
        type=seconds,
        help="report a departure after the pod has been missing for so long (default: longer than "
        "any cache in use can hold an answer)",
    )


@asynccontextmanager
async def open_discovery(
    args: argparse.Namespace, *, timeout: float, identity: Identity | None = None
) -> AsyncIterator[Discovery]:
    """The `Discovery` that the options describe, running, with its log and its metrics.

    Raises:
        ConfigurationError: An option has an invalid value.
        IdentityError: The service depends on this pod's identity, which is not known.
    """
    from ..discovery import Discovery  # noqa: PLC0415 - not needed for --help
    from .telemetry import telemetry  # noqa: PLC0415

    with telemetry(args) as observers:
        async with Discovery(
            **query_arguments(args, identity),
            interval=args.interval,
            leave_after=args.leave_after,
            timeout=timeout,
            observers=observers,
        ) as disco:
            yield disco
