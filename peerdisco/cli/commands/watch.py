"""``peerdisco watch``: a line for each change."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..change_lines import change_text
from ..exit_status import OK, Ended
from ..options import add_service
from ..output import add_format, is_terminal
from ..progress import progress
from ..signals import run_until_signal
from ..streams import PIPE_BUF, Unwritable, print_now
from ..telemetry import add_telemetry
from ..watching import add_polling, open_discovery

if TYPE_CHECKING:
    from ...discovery import Discovery
    from ...model import Change
    from ..live import LiveTable

SUMMARY = "print a line for each change of the membership"
DESCRIPTION = """\
Polls a headless service and prints a line whenever pods join (+), leave (-) or come back with
another address (~), when lookups begin to fail, and when they succeed again. The first line is the
current membership. A failure is never a departure: no pod leaves because DNS is unreachable."""
EPILOG = """\
exit status:
  0  ended by a signal, or the reader of the output has gone
  2  a usage error
  6  the output cannot be written: stdout is closed, or its disk is full

JSON, one object a line: at (RFC 3339, UTC), joined, left, replaced and peers (names), primary
(null while it is absent, or if several StatefulSets are listed), known (false before the
first answer), complete, incomplete_reason (text, or null), unconfirmed (names: missing from the
newest answers, departure not confirmed), stale, may_be_stale, error (why the last lookup failed, or
null), degraded, recovered, incomplete (departures can no longer be confirmed), completed, service,
local, details (the peers, as in 'peerdisco peers -o json').
A line may have several of these at once: recovered, and joined or left.

On a terminal it shows a live table instead, if rich is installed (peerdisco[cli]).
With --plain, --verbose, --format or another --output it prints lines there, too.

examples:
  peerdisco watch my-database
  peerdisco watch my-database --format '{event} {name} {address}:{port}'
  peerdisco watch my-database -o json | jq -r --unbuffered '.joined[]'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "wide", "json", "yaml"),
        default="text",
        help="text or wide (with addresses) for people, json or yaml for programs "
        "(default: %(default)s)",
    )
    add_format(parser, "print this text for each peer that joined, left or was replaced (event)")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="print lines instead of a live table, also on a terminal",
    )
    add_polling(parser)
    add_telemetry(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also print the addresses, in text"
    )


def run(args: argparse.Namespace) -> int:
    with contextlib.suppress(Ended, Unwritable):
        run_until_signal(_watch(args))
    return OK


async def _watch(args: argparse.Namespace) -> None:
    out = _Output()
    try:
        async with (
            open_discovery(args, timeout=args.timeout) as disco,
            contextlib.AsyncExitStack() as waiting,
        ):
            with _live(args, disco) as live:
                if live is None:
                    words = f"the first answer about {disco.service}"
                    shown = progress(lambda seconds: f"{words}, {seconds:.0f} s")
                    await waiting.enter_async_context(shown)
                async for change in disco.watch():
                    await waiting.aclose()
                    at = datetime.now(UTC)
                    if live is not None:
                        live.saw(change, at)
                    elif text := _text(args, change, at):
                        await out.write(text)
    except asyncio.CancelledError:
        if not out.reader_has_gone:
            raise
    finally:
        out.close()


def _text(args: argparse.Namespace, change: Change, at: datetime) -> str:
    """What is printed for a change, without the last line feed; may be empty with a format."""
    if args.format is not None:
        from ..templates import formatted  # noqa: PLC0415 - for this option alone

        events = (
            ("left", change.left),
            ("joined", change.joined),
            ("replaced", tuple(new for _, new in change.replaced)),
        )
        return "\n".join(
            formatted(args.format, peer, change.snapshot, event)
            for event, peers in events
            for peer in peers
        )
    if args.output == "json":
        import json  # noqa: PLC0415 - only this format needs it

        return json.dumps(change.as_dict(at))
    if args.output == "yaml":
        from ...wording.as_yaml import as_yaml  # noqa: PLC0415 - only this format needs it

        return f"---\n{as_yaml(change.as_dict(at))}".rstrip("\n")
    return change_text(change, at, verbose=args.verbose or args.output == "wide")


@contextlib.contextmanager
def _live(args: argparse.Namespace, disco: Discovery) -> Iterator[LiveTable | None]:
    """The live table, on a terminal with rich installed; None for lines."""
    lines = args.plain or args.verbose or args.format is not None or args.output != "text"
    if lines or not is_terminal(sys.stdout):
        yield None
        return
    try:
        from ..live import LiveTable  # noqa: PLC0415 - needs rich
    except ImportError:
        yield None
        return
    with LiveTable(disco) as live:
        yield live


class _Output:
    """Stdout. Neither a slow reader nor a reader that has gone keeps the command from ending.

    A write to a pipe never blocks. When the reader has gone, the task that created this object is
    cancelled.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._pipe = _pipe_of_stdout()
        self.reader_has_gone = False
        if self._pipe is not None:
            # The writing end is readable only when the reader has closed the pipe.
            self._loop.add_reader(self._pipe, self._on_reader_gone)

    def close(self) -> None:
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe)

    async def write(self, line: str) -> None:
        if self._pipe is None:
            print_now(line)
            return
        data = f"{line}\n".encode()
        while data:
            await self._wait_for_room(self._pipe)
            try:
                data = data[os.write(self._pipe, data[:PIPE_BUF]) :]
            except BrokenPipeError as error:
                raise Unwritable from error

    async def _wait_for_room(self, pipe: int) -> None:
        room = asyncio.Event()
        self._loop.add_writer(pipe, room.set)
        try:
            await room.wait()
        finally:
            self._loop.remove_writer(pipe)

    def _on_reader_gone(self) -> None:
        self.reader_has_gone = True
        self.close()
        assert self._task is not None
        self._task.cancel()


def _pipe_of_stdout() -> int | None:
    """The descriptor of stdout if it is a pipe, else None."""
    try:
        pipe = sys.stdout.fileno()
        return pipe if stat.S_ISFIFO(os.fstat(pipe).st_mode) else None
    except (OSError, ValueError, AttributeError):  # closed, or replaced by something else
        return None
