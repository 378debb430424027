"""Stdout and stderr whose readers do not affect how a command runs.

While a command runs, a write to `sys.stdout` or `sys.stderr` never raises. `Streams.settle` decides
at the end how a failed write affects the exit status.
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

from .exit_status import OK, UNWRITTEN

__all__ = ["PIPE_BUF", "Streams", "Unwritable", "print_now", "standard_streams"]

_CLOSED = "it is closed; to drop the output, redirect it to /dev/null"
_BLOCK = 65536
PIPE_BUF = 4096
"""Bytes that a pipe takes without blocking when Linux reports it as writable (pipe(7))."""
_LOG_PATIENCE = 0.1
"""Seconds that a line of the log waits for a slow reader."""


class _Stream(io.TextIOBase):
    """A standard stream whose `write` and `flush` never raise `OSError`.

    Args:
        stream: The stream of Python; None if it was closed when this process started.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._text = ""
        self._descriptor = _descriptor_of(stream)
        self.error: OSError | UnicodeEncodeError | None = None
        """The error of a failed write; None if no write failed."""

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
        """Write to the descriptor, bypassing Python's buffer, which would keep unwritable text.

        Raises:
            OSError: The write failed.
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
            except BlockingIOError:  # another process made the descriptor non-blocking
                _wait_for_room(self.fileno(), None)


class _Log(_Stream):
    """Stderr, written line by line. A line that cannot be written is lost; none blocks the command.

    Args:
        stream: As for `_Stream`.
        output: Stdout, which is flushed before each line to keep the order.
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
                raise BlockingIOError(errno.EAGAIN, "the reader is too slow")
            data = data[os.write(self.fileno(), data[:PIPE_BUF]) :]


class Streams:
    """Stdout and stderr of a command."""

    def __init__(self, output: _Output, log: _Log) -> None:
        self._output = output
        self._log = log

    def settle(self, status: int, *, needed: bool = True) -> int:
        """Flush stdout, and report on stderr if it could not be written.

        A reader that has gone (``| head``) is not an error.

        Args:
            status: The status of the command.
            needed: Whether the output is the purpose of the command.

        Returns:
            The exit status: `UNWRITTEN` if the command succeeded but its needed output could not be
            written, else `status`.
        """
        self._output.flush()
        error = self._output.error
        if error is None or isinstance(error, BrokenPipeError):
            return status
        print(f"peerdisco: cannot write to stdout: {_in_words(error)}", file=sys.stderr)
        return UNWRITTEN if status == OK and needed else status


class Unwritable(Exception):
    """Stdout can no longer be written."""


def print_now(line: str) -> None:
    """Print a line of a command that ends when stdout can no longer be written.

    Raises:
        Unwritable: Stdout is closed, its reader has gone, or its disk is full.
    """
    print(line, flush=True)
    if isinstance(sys.stdout, _Stream) and sys.stdout.error is not None:
        raise Unwritable from sys.stdout.error


@contextmanager
def standard_streams() -> Iterator[Streams]:
    """Guard stdout and stderr while a command runs.

    A closed descriptor 0, 1 or 2 becomes ``/dev/null``. Otherwise the next socket would get its
    number, and receive the output of this process or of a hook.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number
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
    """Discard unwritable text in Python's own buffer, which would fail again at exit."""
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as null:  # noqa: PTH123 - no path
            os.dup2(null.fileno(), stream.fileno())
        stream.flush()


def _descriptor_of(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):  # replaced by a stream without a descriptor
        return None


def _wait_for_room(descriptor: int, seconds: float | None) -> bool:
    """Wait until the descriptor is writable. Returns whether it is."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _in_words(error: OSError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeEncodeError):  # its own text would show the output
        return f"the encoding {error.encoding} cannot represent it; set PYTHONIOENCODING=utf-8"
    return error.strerror or str(error)
