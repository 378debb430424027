"""``peerdisco doctor``: say what is wrong with a set-up, and how to fix it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import output
from ..doctor_database import add_database, database_facts
from ..exit_status import NO, OK, WRONG
from ..options import LOOKUP_TIMEOUT, add_query, add_service, add_timeout, query_arguments
from ..progress import SAID_AGAIN, print_waiting, progress
from ..signals import run_until_signal

if TYPE_CHECKING:
    from ...doctor.examine import Timing
    from ...doctor.facts import Facts
    from ...doctor.findings import Finding
    from ...pod.environment import PodEnvironment

SUMMARY = "say what is wrong with the set-up, and how to fix it"
DESCRIPTION = """\
Examines a set-up from within a pod, or from outside with --nameserver: the identity and the source
of each fact, resolv.conf, each name server over UDP and TCP, the service and its pods, caches,
replicas that disagree, and the size of the answer; with --mysql also the database. Each finding
says what was found, why it matters, and the command, the lines of YAML or the SQL that fix it.
Nothing is changed.

It takes about three seconds, and longer if a name server does not answer or TTLs are long."""
EPILOG = """\
exit status:
  0  no problem was found; there may be warnings
  1  a problem was found
  2  a usage error, or no problem was found but a check could not be made
  6  the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco doctor
  peerdisco doctor my-database.production --port-name mysql
  peerdisco doctor --mysql --socket /run/mysqld/mysqld.sock
  peerdisco doctor my-database -o json --nameserver 127.0.0.1:5300
"""

MINOR = frozenset({"clock", "replicas-agree"})
"""Checks without which everything else is still known: they do not cause status 2."""
_WIDTH = 100
"""Columns where stdout is not a terminal."""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        help="text for people, or json for programs and support tickets (default: %(default)s)",
    )
    group = add_query(parser)
    add_timeout(group, help_=f"the time limit of a lookup (default: {LOOKUP_TIMEOUT:g})")
    add_database(parser)
    parser.set_defaults(timeout=LOOKUP_TIMEOUT)


def run(args: argparse.Namespace) -> int:
    facts, findings = run_until_signal(_diagnose(args))
    _print(args, facts, findings)
    return exit_status(findings)


async def _diagnose(args: argparse.Namespace) -> tuple[Facts, tuple[Finding, ...]]:
    from ...doctor.examine import Timing  # noqa: PLC0415 - not needed for --help
    from ...pod.environment import wait_for_pod_environment  # noqa: PLC0415

    timing = Timing(timeout=min(Timing().timeout, args.timeout))
    async with progress(_waiting_in_words(args), log=print_waiting):
        return await diagnose(args, await wait_for_pod_environment(), timing)


def _waiting_in_words(args: argparse.Namespace) -> Callable[[float], str]:
    what = "the answers of the name servers" + (" and of the database" if args.mysql else "")
    # Every examination takes some seconds, which is no news for a log.
    quiet = 0.0 if output.is_terminal(sys.stderr) else SAID_AGAIN
    return lambda seconds: "" if seconds < quiet else f"{what}, {seconds:.0f} s"


async def diagnose(
    args: argparse.Namespace, pod: PodEnvironment, timing: Timing, now: float | None = None
) -> tuple[Facts, tuple[Finding, ...]]:
    """The facts, and the findings that follow from them.

    Args:
        args: The options of the command.
        pod: The environment of the pod.
        timing: Limits and pauses of the queries to each name server.
        now: This machine's time; None for the present.
    """
    from ...doctor.checks import check  # noqa: PLC0415 - not needed for --help
    from ...doctor.examine import examine  # noqa: PLC0415
    from ...sources.options import LookupOptions  # noqa: PLC0415

    options = LookupOptions(**query_arguments(args, None))
    facts = await examine(
        options, pod, ordinal=args.ordinal, timeout=args.timeout, timing=timing, now=now
    )
    findings = check(facts)
    if args.mysql:
        from ...doctor.checks.mysql import check_database  # noqa: PLC0415 - for this option alone

        findings = (*findings, *check_database(await database_facts(args, facts)))
    return facts, findings


def exit_status(findings: tuple[Finding, ...]) -> int:
    """The exit status that these findings lead to."""
    from ...doctor.findings import Status, worst  # noqa: PLC0415 - not needed for --help

    status = worst(finding for finding in findings if finding.check not in MINOR)
    if status is Status.PROBLEM:
        return NO
    return WRONG if status is Status.UNKNOWN else OK


def _print(args: argparse.Namespace, facts: Facts, findings: tuple[Finding, ...]) -> None:
    from ...doctor.report import report_json, report_lines  # noqa: PLC0415 - not needed for --help

    service = facts.request.service
    if args.output == "json":
        from datetime import UTC, datetime  # noqa: PLC0415 - for this format alone

        from ... import __version__  # noqa: PLC0415

        at = datetime.fromtimestamp(facts.now, UTC).isoformat(timespec="milliseconds")
        output.print_json(
            report_json(
                findings,
                version=__version__,
                at=at.replace("+00:00", "Z"),
                service=None if service is None else service.fqdn,
                pod=facts.pod.pod_name,
            )
        )
        return
    colour = output.use_colour(sys.stdout)
    width = _columns() if sys.stdout.isatty() else _WIDTH
    for line in report_lines(findings, width=width, colour=colour):
        print(line)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH
