"""A command as a hook: its standard input, its environment, and how it ends.

A command gets names from DNS only on its standard input and in its environment, never as an
argument, and no shell is started.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Literal, TypeAlias, get_args

from ..exceptions import ConfigurationError, DiscoveryError
from ..model import Change, Snapshot, clear_primary
from ..names import parse_seconds
from ..timing.stalls import TimeLimit
from .groups import Group
from .programs import CannotStart, find_program, shell_advice, start

__all__ = ["CommandHook", "Event", "HookFailed", "StdinFormat"]

Event: TypeAlias = Literal["start", "change"]
"""Why a hook runs: for the first membership, or for a change."""

StdinFormat: TypeAlias = Literal["names", "json"]

TIMEOUT = 60.0
GRACE = 5.0

_LONGEST_VARIABLE = 100_000
"""Linux limits each argument and variable to less than 128 KiB (execve(2), MAX_ARG_STRLEN)."""


class HookFailed(DiscoveryError):
    """A command that runs as a hook could not be started, failed, or exceeded its time limit.

    Attributes:
        command: The command.
        status: Its exit status, or the negative number of the signal that killed it; None if it
            was not started, or was ended at its time limit.
        reason: The reason, in words.
    """

    def __init__(self, command: tuple[str, ...], status: int | None, reason: str) -> None:
        super().__init__(command, status, reason)
        self.command = command
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{shlex.join(self.command)} {self.reason}"


@dataclass(frozen=True, slots=True)
class CommandHook:
    """A command to run as a hook.

    It is started without a shell, in its own session and process group. ``/bin/sh`` runs a script
    without a ``#!`` line. The command inherits stdout and stderr. It succeeds if it exits with 0;
    its background processes then keep running.

    If this process is killed (SIGKILL, or the out-of-memory killer of the kernel), a running hook
    goes on. In a container it ends with process 1.

    The command gets the environment of this process, and these variables (names in the order of
    `Snapshot`, separated by spaces; booleans as ``true`` and ``false``):

    - ``PEERDISCO_EVENT``: ``start`` or ``change``;
    - ``PEERDISCO_SERVICE``: the fully qualified name of the service, so that ``peerdisco`` in the
      hook uses the same one;
    - ``PEERDISCO_PEERS``: the names of the peers;
    - ``PEERDISCO_JOINED``, ``PEERDISCO_LEFT``, ``PEERDISCO_REPLACED``: names, since the hook
      last succeeded;
    - ``PEERDISCO_PRIMARY``, ``PEERDISCO_PRIMARY_HOST``: the name and the host name of the primary;
      empty while it is absent, and if several StatefulSets are listed;
    - ``PEERDISCO_LOCAL``: the name of this pod; empty if it is not listed or not known;
    - ``PEERDISCO_COMPLETE``: whether the list is complete;
    - ``PEERDISCO_STALE``: whether the last lookup failed.

    A list of names longer than 100,000 bytes exceeds a limit of Linux and is not set at all. The
    standard input always has it.

    Args:
        command: The program and its arguments. A program without a slash is searched in ``PATH``.
        timeout: Time limit in seconds, after which the whole process group is ended. None for no
            limit.
        stdin: The standard input, which the command need not read. ``names``: the fully qualified
            names of the peers, sorted as text, one per line, as from the peer-finder of the
            Kubernetes project. ``json``: the output of ``peerdisco peers -o json``.
        grace: Seconds between SIGTERM and SIGKILL when the hook is ended. None for no limit when
            the call is cancelled: a second cancellation then sends SIGKILL. At the time limit of
            the hook, SIGKILL then follows after 5 seconds.
        environment: More variables to set.

    Raises:
        ConfigurationError: The command is empty or a single string, or another value is invalid.
    """

    command: Sequence[str]
    timeout: float | None = field(default=TIMEOUT, kw_only=True)
    stdin: StdinFormat = field(default="names", kw_only=True)
    grace: float | None = field(default=GRACE, kw_only=True)
    environment: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        if isinstance(self.command, str) or not self.command or not self.command[0]:
            expected = "a list: a program and its arguments (CommandHook.parse takes a string)"
            raise ConfigurationError("command", self.command, expected)
        if self.stdin not in get_args(StdinFormat):
            raise ConfigurationError("stdin", self.stdin, "'names' or 'json'")
        object.__setattr__(self, "command", tuple(self.command))
        for name, seconds in (("timeout", self.timeout), ("grace", self.grace)):
            if seconds is not None:
                object.__setattr__(self, name, parse_seconds(seconds, name))

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        timeout: float | None = TIMEOUT,
        stdin: StdinFormat = "names",
        grace: float | None = GRACE,
        environment: Mapping[str, str] | None = None,
        what: str = "command",
    ) -> CommandHook:
        """The hook for a command line, which is split into words as a shell does it.

        No shell is started: ``$``, ``|``, ``>`` and ``*`` are ordinary characters. Use
        ``sh -c '...'`` for their meaning in a shell.

        Args:
            text: The command line.
            timeout: As for the class.
            stdin: As for the class.
            grace: As for the class.
            environment: As for the class; None for none.
            what: The name of the command line in errors.

        Raises:
            ConfigurationError: It is empty, or a quotation mark is not closed.
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            expected = f"a command line ({str(error).lower()})"
            raise ConfigurationError(what, text, expected) from None
        if not words or not words[0]:
            raise ConfigurationError(what, text, "a command line: a program and its arguments")
        more = dict(environment or {})
        return cls(words, timeout=timeout, stdin=stdin, grace=grace, environment=more)

    def check(self, what: str = "command") -> None:
        """Check that the program exists, to report a wrong command before the first run.

        Args:
            what: The name of the command in errors.

        Raises:
            ConfigurationError: There is no such program, or it is not executable.
        """
        if find_program(self.command[0], {**os.environ, **self.environment}) is None:
            raise ConfigurationError(
                what, shlex.join(self.command), f"a command that can be started ({self._missing()})"
            )

    async def __call__(self, change: Change, event: Event = "change") -> None:
        """Run the command, and wait until it has ended.

        When cancelled, it ends the process group with SIGTERM, and with SIGKILL after `grace`
        seconds or when it is cancelled again.

        Args:
            change: The change for the variables and the standard input.
            event: The reason for the run.

        Raises:
            HookFailed: It could not be started, failed, or exceeded its time limit.
        """
        group = self._start(change, event)
        try:
            async with TimeLimit(self.timeout):
                await asyncio.sleep(
                    0
                )  # starting a process blocks the event loop, so let other tasks run
                status = await group.wait()
        except TimeoutError:
            await group.end(GRACE if self.grace is None else self.grace)
            reason = f"exceeded its time limit of {self.timeout:g} s and was ended"
            raise HookFailed(tuple(self.command), None, reason) from None
        except asyncio.CancelledError:
            await group.end(self.grace)
            raise
        if status != 0:
            raise HookFailed(tuple(self.command), status, _in_words(status))

    def _start(self, change: Change, event: Event) -> Group:
        try:
            with self._open_stdin(change.snapshot) as stdin:
                environment = self._environment(change, event)
                return start(self.command, stdin=stdin, environment=environment)
        except (CannotStart, OSError) as error:
            # An OSError: there is no descriptor for the list, or no memory.
            why = error.strerror if isinstance(error, OSError) else error
            reason = f"cannot be started: {why}"
            raise HookFailed(tuple(self.command), None, reason) from error

    def _open_stdin(self, snapshot: Snapshot) -> IO[bytes]:
        """The standard input of the hook, as a file.

        A pipe would have to be fed while the hook runs, and breaks if the hook does not read it.
        """
        if self.stdin == "json":
            text = json.dumps(snapshot.as_dict(), indent=2) + "\n"
        else:
            text = "".join(f"{name}\n" for name in sorted(peer.hostname for peer in snapshot))
        file: IO[bytes]
        if hasattr(os, "memfd_create"):
            # The file system of a container may be read-only.
            file = os.fdopen(os.memfd_create("peers"), "w+b")
        else:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            file.write(text.encode())
            file.flush()
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _environment(self, change: Change, event: Event) -> dict[str, str]:
        snapshot = change.snapshot
        primary, local, name_of = clear_primary(snapshot), snapshot.local, snapshot.name_of
        lists = {
            "PEERDISCO_PEERS": " ".join(map(name_of, snapshot.peers)),
            "PEERDISCO_JOINED": " ".join(map(name_of, change.joined)),
            "PEERDISCO_LEFT": " ".join(map(name_of, change.left)),
            "PEERDISCO_REPLACED": " ".join(name_of(new) for _, new in change.replaced),
        }
        inherited = {name: value for name, value in os.environ.items() if name not in lists}
        return {
            **inherited,
            **self.environment,
            **{name: text for name, text in lists.items() if len(text) <= _LONGEST_VARIABLE},
            "PEERDISCO_EVENT": event,
            "PEERDISCO_SERVICE": snapshot.service,
            "PEERDISCO_PRIMARY": snapshot.name_of(primary) if primary else "",
            "PEERDISCO_PRIMARY_HOST": primary.hostname if primary else "",
            "PEERDISCO_LOCAL": snapshot.name_of(local) if local else "",
            "PEERDISCO_COMPLETE": "true" if snapshot.complete else "false",
            "PEERDISCO_STALE": "true" if snapshot.stale else "false",
        }

    def _missing(self) -> str:
        program = self.command[0]
        place = "not an executable file" if "/" in program else "no such program in PATH"
        return f"{program!r}: {place}{shell_advice(self.command)}"


def _in_words(status: int | None) -> str:
    if status is None:
        return "ended with an unknown status, which other code in this process has collected"
    if status > 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
