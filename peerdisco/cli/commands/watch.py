"""``peerdisco watch``: a line for each change."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import stat
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..look import TIMEOUT, add_query, add_service, add_timeout, seconds
from ..processes import run_until_signal
from ..status import OK, Ended
from ..streams import PIPE_BUF, Unwritable, print_now

if TYPE_CHECKING:
    from ...discovery import Discovery
    from ...model import Change, Identity

SUMMARY = "print a line for each change of the membership"
DESCRIPTION = """\
Watches the pods behind a headless service and prints a line whenever some joined (+), left (-) or
came back with another address (~), and when looks begin to fail and are answered again. The first
line is the present membership. A failure is no departure: nobody leaves because DNS is away."""
EPILOG = """\
exit status:
  0  ended by a signal, or the reader of the output has gone
  2  a wrong call
  6  the output cannot be written: stdout is closed, or its disk is full

JSON, one object a line: at (RFC 3339, UTC), joined, left, replaced and peers (names), primary
(null while it is absent, or where several StatefulSets leave it open), known (false before the
first answer), complete, incomplete_reason (text, or null), unconfirmed (names: missing from the
newest answers, and not known to have left), stale, error (why the newest lookup failed, or null),
degraded, recovered, incomplete (departures cannot be observed any more), completed.

examples:
  peerdisco watch my-database
  peerdisco watch my-database -o json | jq -r --unbuffered '.joined[]'
"""
INTERVAL = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        help="text for people, json for programs (default: %(default)s)",
    )
    add_watching(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print the addresses, too, in text"
    )


def add_watching(parser: argparse.ArgumentParser, interval: float = INTERVAL) -> None:
    """The options of a command that keeps looking.

    Args:
        parser: Gets them.
        interval: What the help calls the default of ``--interval``.
    """
    add_query(parser)
    group = parser.add_argument_group("how to watch")
    add_timeout(group, TIMEOUT, help_="how long a lookup may take (default: %(default)g)")
    add_pace(group, interval)


def add_pace(group: argparse._ArgumentGroup, interval: float = INTERVAL) -> None:
    """The options of how often to look, and what to believe."""
    group.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        help="time between two looks when nothing happens "
        f"(default: PEERDISCO_INTERVAL, else {interval:g})",
    )
    group.add_argument(
        "--leave-after",
        metavar="SECONDS",
        type=seconds,
        help="how long a pod must be absent before it has left (default: longer than any cache "
        "that is seen can hold an answer)",
    )


def open_discovery(
    args: argparse.Namespace, *, timeout: float, identity: Identity | None = None
) -> Discovery:
    """The watcher that the options describe.

    Raises:
        ConfigurationError, IdentityError: The options cannot be used.
    """
    from ...discovery import Discovery  # noqa: PLC0415 - not needed for --help
    from ...primary.policies import ordinal  # noqa: PLC0415

    return Discovery(
        args.service,
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
        interval=args.interval,
        leave_after=args.leave_after,
        timeout=timeout,
    )


def run(args: argparse.Namespace) -> int:
    with contextlib.suppress(Ended, Unwritable):
        run_until_signal(_watch(args))
    return OK


async def _watch(args: argparse.Namespace) -> None:
    import json  # noqa: PLC0415 - not needed for --help

    out = _Output()
    try:
        async with open_discovery(args, timeout=args.timeout) as disco:
            async for change in disco.watch():
                at = datetime.now(UTC)
                if args.output == "json":
                    line = json.dumps(as_json(change, at))
                else:
                    line = as_text(change, at, verbose=args.verbose)
                await out.write(line)
    except asyncio.CancelledError:
        if not out.reader_has_gone:
            raise
    finally:
        out.close()


def as_json(change: Change, at: datetime) -> dict[str, object]:
    """A change as programs read it; the keys are a promise."""
    from ...wording.as_json import clear_primary  # noqa: PLC0415 - not needed for --help

    snapshot = change.snapshot
    primary = clear_primary(snapshot)
    name_of = snapshot.name_of
    return {
        "at": _rfc_3339(at),
        "joined": [name_of(peer) for peer in change.joined],
        "left": [name_of(peer) for peer in change.left],
        "replaced": [name_of(new) for _, new in change.replaced],
        "peers": [name_of(peer) for peer in snapshot],
        "primary": name_of(primary) if primary else None,
        "known": snapshot.known,
        "complete": snapshot.complete,
        "incomplete_reason": snapshot.incomplete_reason,
        "unconfirmed": [peer.name for peer in snapshot.unconfirmed],
        "stale": snapshot.stale,
        "error": str(snapshot.last_error) if snapshot.last_error else None,
        "degraded": change.degraded,
        "recovered": change.recovered,
        "incomplete": change.incomplete,
        "completed": change.completed,
    }


def as_text(change: Change, at: datetime, *, verbose: bool = False) -> str:
    """A change as people read it, in one line."""
    snapshot = change.snapshot
    told = [
        f"{sign}{snapshot.name_of(peer)}{_addresses(peer.addresses) if verbose else ''}"
        for sign, peers in (
            ("+", change.joined),
            ("-", change.left),
            ("~", [new for _, new in change.replaced]),
        )
        for peer in peers
    ]
    remarks = []
    if change.recovered:
        remarks.append("answered again")
    if change.completed:
        remarks.append("the list is complete again")
    if change.degraded:
        error = " ".join(str(snapshot.last_error).split())
        remarks.append(f"no answer, nobody left because of that: {error}")
    if snapshot.left_out and not snapshot.peers:
        from ...wording.members import nobody_chosen  # noqa: PLC0415 - for this line alone

        remarks.append(nobody_chosen(snapshot))
    if snapshot.known and not snapshot.complete:
        remarks.append(f"the list may lack pods: {snapshot.incomplete_reason}")
        if snapshot.unconfirmed:
            suspects = " ".join(map(str, snapshot.unconfirmed))
            remarks.append(f"departures cannot be observed; not listed lately: {suspects}")
    count = f"{len(snapshot)} peer{'' if len(snapshot) == 1 else 's'}"
    if not snapshot.known:
        count = "peers not known"
    parts = [_rfc_3339(at), count, *([" ".join(told)] if told else []), "; ".join(remarks)]
    return "  ".join(part for part in parts if part)


def _addresses(addresses: tuple[object, ...]) -> str:
    return f"={','.join(map(str, addresses))}" if addresses else ""


def _rfc_3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Output:
    """Stdout, such that neither a reader who is slow nor one who has gone keeps this from ending.

    A pipe is written to only as far as it takes it at once. When its reader has gone, the task that
    made this is cancelled.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._pipe = _pipe_of_stdout()
        self.reader_has_gone = False
        if self._pipe is not None:
            # Nothing can be read from this end: it is called for the error of a closed pipe alone.
            self._loop.add_reader(self._pipe, self._reader_has_gone)

    def close(self) -> None:
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe)

    async def write(self, line: str) -> None:
        if self._pipe is None:
            print_now(line)
            return
        data = f"{line}\n".encode()
        while data:
            await self._room(self._pipe)
            try:
                data = data[os.write(self._pipe, data[:PIPE_BUF]) :]
            except BrokenPipeError as error:
                raise Unwritable from error

    async def _room(self, pipe: int) -> None:
        room = asyncio.Event()
        self._loop.add_writer(pipe, room.set)
        try:
            await room.wait()
        finally:
            self._loop.remove_writer(pipe)

    def _reader_has_gone(self) -> None:
        self.reader_has_gone = True
        self.close()
        assert self._task is not None
        self._task.cancel()


def _pipe_of_stdout() -> int | None:
    """The descriptor of stdout, if it is a pipe."""
    try:
        pipe = sys.stdout.fileno()
        return pipe if stat.S_ISFIFO(os.fstat(pipe).st_mode) else None
    except (OSError, ValueError, AttributeError):  # closed, or replaced by something else
        return None
