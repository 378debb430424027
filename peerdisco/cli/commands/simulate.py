"""``peerdisco simulate``: a cluster DNS on loopback, for a demonstration or for development."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ...exceptions import ConfigurationError
from ..exit_status import OK, Ended
from ..options import UsageError, port, seconds, whole_number
from ..signals import run_until_signal
from ..streams import Unwritable
from ..telemetry import telemetry

if TYPE_CHECKING:
    from ...testing import ClusterDNS, StatefulSet
    from ..simulation.screen import Screen
    from ..simulation.story import Event

SUMMARY = "see it work without a cluster, or develop without one"
DESCRIPTION = """\
Runs a name server on loopback that answers as the DNS of a cluster does. Its StatefulSet starts,
scales up, loses a pod, gets it back, goes through a DNS outage and scales down. Beside it, a client
shows what it sees over real DNS messages. With --serve the command only keeps the name server up,
so that you can develop an application against it."""
EPILOG = """\
exit status:
  0  finished, ended by a signal, or the reader of the output has gone (not with --serve)
  2  a usage error, or the port is in use
  6  without --serve: the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco simulate
  peerdisco simulate --serve --replicas 5
  PEERDISCO_NAMESERVERS=127.0.0.1:5300 peerdisco peers my-database.default.svc.cluster.local
"""
SERVE_PORT = 5300
INTERVAL = 0.5
LOOKUP_TIMEOUT = 0.4
REDRAW = 0.2
"""Seconds between two updates of a live screen."""
PATIENCE = 20.0
"""Seconds for which the story waits at most until the client shows an event."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--serve",
        action="store_true",
        help="keep the name server up until interrupted, without playing the story",
    )
    parser.add_argument(
        "--story", action="store_true", help="with --serve: play the story over and over"
    )
    parser.add_argument("--seconds", metavar="SECONDS", type=seconds, help="exit after this time")
    parser.add_argument(
        "--speed",
        metavar="FACTOR",
        type=seconds,
        default=1.0,
        help="play the story this many times faster (default: %(default)g)",
    )
    parser.add_argument(
        "--replicas",
        metavar="N",
        type=whole_number(0, 10_000, "a number from 0 to 10000"),
        default=3,
        help="with --serve: the number of pods (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=port,
        help=f"the port, UDP and TCP (default: a free one; {SERVE_PORT} with --serve)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="print lines instead of live tables, also on a terminal",
    )


def run(args: argparse.Namespace) -> int:
    from ..simulation.screen import open_screen  # noqa: PLC0415 - not needed for --help

    if args.story and not args.serve:
        raise UsageError("--story needs --serve; without --serve the story is always played")
    args.output_needed = not args.serve
    screens = open_screen(plain=args.plain or args.serve, ends_unread=args.output_needed)
    with screens as screen, telemetry(args), contextlib.suppress(Ended, Unwritable):
        run_until_signal(_simulate(args, screen))
    with contextlib.suppress(Unwritable):
        screen.finish()
    return OK


async def _simulate(args: argparse.Namespace, screen: Screen) -> None:
    from ...testing import ClusterDNS  # noqa: PLC0415 - needs dnspython
    from ..simulation.story import SERVICE, STATEFULSET  # noqa: PLC0415

    number = args.port or (SERVE_PORT if args.serve else 0)
    try:
        async with ClusterDNS(port=number) as dns:
            playing = args.story or not args.serve
            replicas = 0 if playing else args.replicas
            statefulset = dns.statefulset(STATEFULSET, service=SERVICE, replicas=replicas)
            screen.introduce(dns.environment, SERVICE, serving=args.serve)
            await _until_over(args, dns, statefulset, screen, playing=playing)
    except OSError as error:
        raise ConfigurationError("--port", number, f"a free port ({error.strerror})") from error


async def _until_over(
    args: argparse.Namespace,
    dns: ClusterDNS,
    statefulset: StatefulSet,
    screen: Screen,
    *,
    playing: bool,
) -> None:
    """Play the story and watch the service, until the story ends or the time is up."""
    tasks: list[asyncio.Task[Any]] = []
    if playing:
        tasks.append(asyncio.create_task(_play(args, dns, statefulset, screen)))
    tasks.append(asyncio.create_task(_watch(dns, screen, args.speed if playing else 1.0)))
    redrawing = asyncio.create_task(_redraw(screen))
    try:
        done, _ = await asyncio.wait(
            tasks, timeout=args.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        for task in (*tasks, redrawing):
            task.cancel()
        await asyncio.gather(*tasks, redrawing, return_exceptions=True)


async def _redraw(screen: Screen) -> None:
    """Redraw a live screen, on which the seconds of an outage pass."""
    while True:
        await asyncio.sleep(REDRAW)
        screen.refresh()


async def _play(
    args: argparse.Namespace, dns: ClusterDNS, statefulset: StatefulSet, screen: Screen
) -> None:
    from ..simulation.story import LENGTH, STORY  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    while True:
        start = loop.time()
        for event in STORY:
            await asyncio.sleep(start + event.at / args.speed - loop.time())
            event.happen(dns, statefulset)
            screen.happened(event.words, statefulset)
            await _until_shown(event, statefulset, screen)
        await asyncio.sleep(start + LENGTH / args.speed - loop.time())
        if not args.serve:
            screen.over = True
            return
        statefulset.scale(0)


async def _until_shown(event: Event, statefulset: StatefulSet, screen: Screen) -> None:
    """Wait until the client shows the event, or the patience is at its end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while screen.snapshot is None or not event.shown(screen.snapshot, statefulset):
                screen.changed.clear()
                await screen.changed.wait()


async def _watch(dns: ClusterDNS, screen: Screen, speed: float) -> None:
    """Watch the service as any client would that knows only the name server."""
    from ...discovery import Discovery  # noqa: PLC0415
    from ..simulation.story import SERVICE  # noqa: PLC0415

    async with Discovery(
        f"{SERVICE}.default.svc.cluster.local",
        nameservers=[dns.nameserver],
        source="dns",
        interval=INTERVAL / speed,
        min_interval=INTERVAL / speed / 2,
        timeout=LOOKUP_TIMEOUT,
    ) as disco:
        screen.watches(disco)
        async for change in disco.watch():
            screen.saw(change)
