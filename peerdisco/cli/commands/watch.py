"""``peerdisco watch``: a line for each change."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import stat
import sys
from datetime import UTC, datetime

from ..change_lines import change_json, change_text
from ..exit_status import OK, Ended
from ..options import add_service
from ..signals import run_until_signal
from ..streams import PIPE_BUF, Unwritable, print_now
from ..watching import add_polling, open_discovery

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
newest answers, departure not confirmed), stale, error (why the last lookup failed, or null),
degraded, recovered, incomplete (departures can no longer be confirmed), completed.

examples:
  peerdisco watch my-database
  peerdisco watch my-database -o json | jq -r --unbuffered '.joined[]'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_service(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        help="text for people, json for programs (default: %(default)s)",
    )
    add_polling(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also print the addresses, in text"
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
                    line = json.dumps(change_json(change, at))
                else:
                    line = change_text(change, at, verbose=args.verbose)
                await out.write(line)
    except asyncio.CancelledError:
        if not out.reader_has_gone:
            raise
    finally:
        out.close()


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
