"""``peerdisco simulate``: a cluster DNS on loopback, for a demonstration or for development."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ...exceptions import ConfigurationError
from ..look import seconds
from ..processes import run_until_signal
from ..status import OK, Ended
from ..streams import Unwritable

if TYPE_CHECKING:
    from ...testing import ClusterDNS, StatefulSet
    from ..screen import Screen

SUMMARY = "see it work without a cluster, or develop without one"
DESCRIPTION = """\
Runs a name server on loopback that answers as a cluster's does, with a StatefulSet that starts,
scales up, loses a pod and regains it, suffers a DNS outage and scales down; and shows beside it
what a client sees, over real DNS messages. With --serve it just keeps the server up, so that an
application can be developed against it."""
EPILOG = """\
exit status:
  0  it is over, was ended by a signal, or the reader of the output has gone (not with --serve)
  2  a wrong call, or the port is taken
  6  without --serve: the output cannot be written: stdout is closed, or its disk is full

examples:
  peerdisco simulate
  peerdisco simulate --serve --replicas 5
  PEERDISCO_NAMESERVERS=127.0.0.1:5300 peerdisco peers my-database.default.svc.cluster.local
"""
SERVE_PORT = 5300
LOOK_EVERY = 0.5
LOOK_TIMEOUT = 0.4


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--serve",
        action="store_true",
        help="keep the server up until interrupted; no story is played unless --story is given",
    )
    parser.add_argument(
        "--story", action="store_true", help="with --serve: play the story over and over"
    )
    parser.add_argument(
        "--seconds", metavar="SECONDS", type=seconds, help="end after so many seconds"
    )
    parser.add_argument(
        "--speed",
        metavar="FACTOR",
        type=seconds,
        default=1.0,
        help="play the story so many times as fast (default: %(default)g)",
    )
    parser.add_argument(
        "--replicas",
        metavar="N",
        type=_replicas,
        default=3,
        help="with --serve: how many pods there are (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=_port,
        help=f"the port, UDP and TCP (default: a free one; {SERVE_PORT} with --serve)",
    )
    parser.add_argument(
        "--plain", action="store_true", help="print lines, also on a terminal that could show more"
    )


def _replicas(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 0 to 10000")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a port from 1 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from ..screen import open_screen  # noqa: PLC0415 - not needed for --help

    if args.story and not args.serve:
        raise ConfigurationError("--story", "no --serve", "--serve with it; the story plays anyway")
    args.output_needed = not args.serve
    screens = open_screen(plain=args.plain or args.serve, ends_unread=args.output_needed)
    with screens as screen, contextlib.suppress(Ended, Unwritable):
        run_until_signal(_simulate(args, screen))
    return OK


async def _simulate(args: argparse.Namespace, screen: Screen) -> None:
    from ...testing import ClusterDNS  # noqa: PLC0415 - needs dnspython
    from ..story import SERVICE, STATEFULSET  # noqa: PLC0415

    port = args.port or (SERVE_PORT if args.serve else 0)
    try:
        async with ClusterDNS(port=port) as dns:
            playing = args.story or not args.serve
            replicas = 0 if playing else args.replicas
            statefulset = dns.statefulset(STATEFULSET, service=SERVICE, replicas=replicas)
            screen.introduce(dns.environment, SERVICE, serving=args.serve)
            await _until_over(args, dns, statefulset, screen, playing=playing)
    except OSError as error:
        raise ConfigurationError("--port", port, f"a free port ({error.strerror})") from error


async def _until_over(
    args: argparse.Namespace,
    dns: ClusterDNS,
    statefulset: StatefulSet,
    screen: Screen,
    *,
    playing: bool,
) -> None:
    """Play and watch until the story ends or the time is up."""
    tasks: list[asyncio.Task[Any]] = []
    if playing:
        tasks.append(asyncio.create_task(_play(args, dns, statefulset, screen)))
    tasks.append(asyncio.create_task(_watch(dns, screen, args.speed if playing else 1.0)))
    try:
        done, _ = await asyncio.wait(
            tasks, timeout=args.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _play(
    args: argparse.Namespace, dns: ClusterDNS, statefulset: StatefulSet, screen: Screen
) -> None:
    from ..story import LENGTH, STORY  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    while True:
        start = loop.time()
        for event in STORY:
            await asyncio.sleep(start + event.at / args.speed - loop.time())
            event.happen(dns, statefulset)
            screen.happened(event.words, statefulset)
        await asyncio.sleep(start + LENGTH / args.speed - loop.time())
        if not args.serve:
            return
        statefulset.scale(0)


async def _watch(dns: ClusterDNS, screen: Screen, speed: float) -> None:
    """Watch the service, as a client that knows nothing but the name server would."""
    from ...discovery import Discovery  # noqa: PLC0415
    from ..story import SERVICE  # noqa: PLC0415

    async with Discovery(
        f"{SERVICE}.default.svc.cluster.local",
        nameservers=[dns.nameserver],
        source="dns",
        interval=LOOK_EVERY / speed,
        min_interval=LOOK_EVERY / speed / 2,
        timeout=LOOK_TIMEOUT,
    ) as disco:
        screen.watches(disco)
        async for change in disco.watch():
            screen.saw(change)
