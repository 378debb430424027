"""A command as a hook: what it reads, what its environment tells it, and how it ends.

Names that come from DNS are data here: a command gets them on its standard input and in its
environment, never as an argument, and no shell is started.
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
from ..model import Change, Snapshot
from ..names import parse_seconds
from ..timing.stalls import TimeLimit
from ..wording.as_json import clear_primary, membership_json
from .groups import Group
from .programs import CannotStart, find_program, shell_advice, start

__all__ = ["CommandHook", "Event", "HookFailed", "StdinFormat"]

Event: TypeAlias = Literal["start", "change"]
"""Why a hook is run: for the first membership, or because it changed."""

StdinFormat: TypeAlias = Literal["names", "json"]

TIMEOUT = 60.0
GRACE = 5.0

_LONGEST_VARIABLE = 100_000
"""Linux takes no argument and no variable of 128 KiB or more (execve(2), MAX_ARG_STRLEN)."""


class HookFailed(DiscoveryError):
    """A command that was run as a hook could not be started, failed, or took too long.

    Attributes:
        command: The command.
        status: Its exit status, or the negative number of the signal that killed it; None if it
            was not started, or was ended because its time was up.
        reason: What happened, in words.
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

    It is started without a shell, in a session and a process group of its own. A script without a
    ``#!`` line is run by ``/bin/sh``. What it prints goes where this process prints. It succeeds
    if it exits with 0; what it left running in the background then goes on.

    Should this process be killed (SIGKILL, or the kernel's out-of-memory killer), nothing is left
    to end the hook, which goes on; in a container it ends with process 1.

    Its environment is this process's, with these facts in it (in the order of `Snapshot`, names
    with a space between them, truths as ``true`` and ``false``):

    - ``PEERDISCO_EVENT``: ``start`` or ``change``;
    - ``PEERDISCO_SERVICE``: the service's fully qualified name, so that ``peerdisco`` in the hook
      looks at the same one;
    - ``PEERDISCO_PEERS``: the peers' names;
    - ``PEERDISCO_JOINED``, ``PEERDISCO_LEFT``, ``PEERDISCO_REPLACED``: names, since the hook
      last succeeded;
    - ``PEERDISCO_PRIMARY``, ``PEERDISCO_PRIMARY_HOST``: the primary's name and its host name; empty
      while it is absent, and where several StatefulSets stand behind the service;
    - ``PEERDISCO_LOCAL``: this pod's name; empty if it is not listed or not known;
    - ``PEERDISCO_COMPLETE``: whether this is the whole list;
    - ``PEERDISCO_STALE``: whether the newest look failed.

    A list of names longer than 100,000 bytes, which Linux may not take, is not set at all; standard
    input always has it.

    Args:
        command: The program and its arguments. The program is looked for in ``PATH`` unless it has
            a slash in it.
        timeout: Seconds it may take; then its whole process group is ended. None for no limit.
        stdin: What it reads: ``names``, the peers' fully qualified names, sorted as text, one a
            line, as the peer-finder of the Kubernetes project gives them; or ``json``, what
            ``peerdisco peers -o json`` prints. It need not read it.
        grace: Seconds between SIGTERM and SIGKILL, when it has to be ended. None for no
            limit where the call is cancelled: SIGKILL then comes only when it is cancelled a second
            time. A hook whose time is up is killed after 5 seconds in any case.
        environment: Variables to set beside the facts.

    Raises:
        ConfigurationError: The command is empty or one string, or another value cannot be right.
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
        """The hook of a command line, cut into words as a shell does it, which is not started.

        ``$``, ``|``, ``>``, ``*`` and the like are parts of words as any other character;
        ``sh -c '...'`` has them mean what they mean to a shell.

        Args:
            text: The command line.
            timeout: As for the class; so are the following.
            stdin: As for the class.
            grace: As for the class.
            environment: As for the class; None for none.
            what: What an error calls it.

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
        """Find out whether there is such a program, so that this is told before it is needed.

        Args:
            what: What an error calls it.

        Raises:
            ConfigurationError: There is none that could be started.
        """
        if find_program(self.command[0], {**os.environ, **self.environment}) is None:
            raise ConfigurationError(
                what, shlex.join(self.command), f"a command that can be started: {self._missing()}"
            )

    async def __call__(self, change: Change, event: Event = "change") -> None:
        """Run it, and wait until it has ended.

        Cancelled, it ends the process group: with SIGTERM, after `grace` seconds or when it is
        cancelled again with SIGKILL.

        Args:
            change: What to tell it.
            event: Why it is run.

        Raises:
            HookFailed: It could not be started, it failed, or its time was up.
        """
        group = self._start(change, event)
        try:
            async with TimeLimit(self.timeout):
                await asyncio.sleep(0)  # the start has held up the event loop; others first
                status = await group.wait()
        except TimeoutError:
            await group.end(GRACE if self.grace is None else self.grace)
            reason = f"did not end within {self.timeout:g} s, and was ended"
            raise HookFailed(tuple(self.command), None, reason) from None
        except asyncio.CancelledError:
            await group.end(self.grace)
            raise
        if status != 0:
            raise HookFailed(tuple(self.command), status, _in_words(status))

    def _start(self, change: Change, event: Event) -> Group:
        with self._open_stdin(change.snapshot) as stdin:
            try:
                return start(
                    self.command, stdin=stdin, environment=self._environment(change, event)
                )
            except CannotStart as error:
                reason = f"cannot be started: {error}"
                raise HookFailed(tuple(self.command), None, reason) from error

    def _open_stdin(self, snapshot: Snapshot) -> IO[bytes]:
        """What the hook reads, as a file.

        A pipe would have to be filled while the hook runs, and breaks if it does not read.
        """
        if self.stdin == "json":
            text = json.dumps(membership_json(snapshot), indent=2) + "\n"
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
        place = "it is no executable file" if "/" in program else "PATH has no such program"
        return f"{program!r}: {place}{shell_advice(self.command)}"


def _in_words(status: int | None) -> str:
    if status is None:
        return "ended with a status that something else in this program has taken"
    if status > 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
