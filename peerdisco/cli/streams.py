"""Stdout and stderr, such that the status of a command does not depend on who reads them.

While a command runs, `sys.stdout` and `sys.stderr` are streams whose writing never raises. What
becomes of a write that failed is decided once, at the end, by `Streams.settle`.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from .status import OK, UNWRITTEN

__all__ = ["PIPE_BUF", "Streams", "Unwritable", "print_now", "standard_streams"]

_CLOSED = "it is closed; to drop the output, redirect it to /dev/null"
_BLOCK = 65536
PIPE_BUF = 4096
"""Linux takes so many bytes at once if it says that it takes any (pipe(7))."""
_LOG_PATIENCE = 0.1
"""Seconds for which a line of the log waits for a reader that is slow."""


class _Stream(io.TextIOBase):
    """A standard stream whose `write` and `flush` never raise `OSError`.

    Args:
        stream: Python's own; None if it was closed when this process started.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._text = ""
        self._descriptor = _descriptor_of(stream)
        self.error: OSError | UnicodeEncodeError | None = None
        """Why a write failed; None if none did."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "errors", None) or "strict"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def write(self, text: str) -> int:
        self._text += text
        if len(self._text) >= _BLOCK or ("\n" in text and self.isatty()):
            self.flush()
        return len(text)

    def flush(self) -> None:
        text, self._text = self._text, ""
        if not text:
            return
        if self._stream is None:
            self.error = OSError(errno.EBADF, _CLOSED)
            return
        try:
            if self._descriptor is None:
                self._stream.write(text)
                self._stream.flush()
            else:
                self._put(memoryview(text.encode(self.encoding, self.errors)))
        except (OSError, UnicodeEncodeError) as error:
            self.error = error

    def _put(self, data: memoryview) -> None:
        """Write to the descriptor, past Python's buffer, which would keep what cannot be written.

        Raises:
            OSError: Nobody takes it.
        """
        raise NotImplementedError


class _Output(_Stream):
    """Stdout: written in order and whole, up to the first failure."""

    def flush(self) -> None:
        if self.error is None:
            super().flush()

    def _put(self, data: memoryview) -> None:
        while data:
            try:
                data = data[os.write(self.fileno(), data) :]
            except BlockingIOError:  # whoever shares the descriptor has made it non-blocking
                _wait_for_room(self.fileno(), None)


class _Log(_Stream):
    """Stderr: line by line, each of which may be lost, and none of which holds up the command.

    Args:
        stream: As for any stream.
        output: Stdout. What was printed there before a line is written before it.
    """

    def __init__(self, stream: TextIO | None, output: _Output) -> None:
        super().__init__(stream)
        self._output = output
        self._stalled = False

    def write(self, text: str) -> int:
        super().write(text)
        if "\n" in text:
            self.flush()
        return len(text)

    def _put(self, data: memoryview) -> None:
        self._output.flush()
        while data:
            patience = 0.0 if self._stalled else _LOG_PATIENCE
            self._stalled = not _wait_for_room(self.fileno(), patience)
            if self._stalled:
                raise BlockingIOError(errno.EAGAIN, "its reader does not read")
            data = data[os.write(self.fileno(), data[:PIPE_BUF]) :]


class Streams:
    """Stdout and stderr of a command."""

    def __init__(self, output: _Output, log: _Log) -> None:
        self._output = output
        self._log = log

    def settle(self, status: int, *, needed: bool = True) -> int:
        """Write out what is left, and report on stderr what could not be written to stdout.

        A reader that has gone (``| head``) has what it wanted.

        Args:
            status: What the command came to.
            needed: Whether it is for its output that the command is run.

        Returns:
            The exit status: what the command came to, unless that was success and the output that
            it was run for could not be written.
        """
        self._output.flush()
        error = self._output.error
        if error is None or isinstance(error, BrokenPipeError):
            return status
        print(f"peerdisco: cannot write to stdout: {_in_words(error)}", file=sys.stderr)
        return UNWRITTEN if status == OK and needed else status


class Unwritable(Exception):
    """Nothing can be written to stdout any more."""


def print_now(line: str) -> None:
    """Print a line of a command that ends when nothing can be written any more.

    Raises:
        Unwritable: Stdout is closed, its reader has gone, or its disk is full.
    """
    print(line, flush=True)
    if isinstance(sys.stdout, _Stream) and sys.stdout.error is not None:
        raise Unwritable from sys.stdout.error


@contextmanager
def standard_streams() -> Iterator[Streams]:
    """Guard stdout and stderr while a command runs.

    A descriptor 0, 1 or 2 that is closed is given ``/dev/null``: the next socket would get its
    number, and receive what is printed here or by a hook.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it is the lowest free one
    stdout, stderr = sys.stdout, sys.stderr
    output = _Output(stdout)
    log = _Log(stderr, output)
    sys.stdout, sys.stderr = cast("TextIO", output), cast("TextIO", log)
    try:
        yield Streams(output, log)
    finally:
        output.flush()
        log.flush()
        sys.stdout, sys.stderr = stdout, stderr
        for stream in (stdout, stderr):
            if stream is not None:
                _drop_unwritten(stream)


def _drop_unwritten(stream: TextIO) -> None:
    """Drop what Python's own buffer holds and cannot write; it would fail again at the end."""
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as null:  # noqa: PTH123 - no path
            os.dup2(null.fileno(), stream.fileno())
        stream.flush()


def _descriptor_of(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):  # replaced by something that has none
        return None


def _wait_for_room(descriptor: int, seconds: float | None) -> bool:
    """Wait until something can be written; whether it can."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _in_words(error: OSError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeEncodeError):  # whose own words show what is written
        return f"{error.encoding} lacks a character of the output (PYTHONIOENCODING=utf-8 has all)"
    return error.strerror or str(error)
