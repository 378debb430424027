"""Starting a program as a shell starts it, with a good error if it cannot be started."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import IO

from .groups import Group

__all__ = ["CannotStart", "find_program", "shell_advice", "start"]

SHELL = "/bin/sh"

_SHELL_CHARACTERS = frozenset("|&;<>()$`*?~")
_SHELL_WORDS = frozenset(
    {".", ":", "cd", "eval", "exec", "exit", "export", "for", "if", "set", "source", "ulimit"}
    | {"umask", "unset", "while", "{", "!", "[["}
)
"""First words that only a shell understands, and that are not names of programs."""


class CannotStart(Exception):
    """A program cannot be started; the text is the reason."""


def find_program(program: str, environment: Mapping[str, str]) -> str | None:
    """The executable file of this name, searched in ``PATH`` unless the name has a slash."""
    return shutil.which(program, path=environment.get("PATH"))


def start(command: Sequence[str], *, stdin: IO[bytes], environment: Mapping[str, str]) -> Group:
    """Start a program. ``/bin/sh`` runs a script without a ``#!`` line.

    POSIX requires that of a shell and of execvp(3) for a text file that the kernel does not run
    (ENOEXEC). A binary file is refused: a shell would run it as a script.

    Raises:
        CannotStart: The program cannot be started.
    """
    try:
        try:
            return Group(command, stdin=stdin, environment=environment)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            script = find_program(command[0], environment) or command[0]
            reason = _why_no_script(_head(script))
            if reason is not None:
                raise CannotStart(f"{error.strerror}: {reason}") from error
            return Group([SHELL, script, *command[1:]], stdin=stdin, environment=environment)
    except OSError as error:
        raise CannotStart(_why_not(command, environment, error)) from error


def shell_advice(command: Sequence[str]) -> str:
    """Advice for a command that looks like text for a shell; empty for any other."""
    found = sorted({char for word in command for char in word} & _SHELL_CHARACTERS)
    if "=" in command[0]:
        found.append("=")
    if command[0] in _SHELL_WORDS:
        found.append(command[0])
    if not found:
        return ""
    return f"; no shell is started, and {' '.join(found)} needs one: use sh -c '...'"


def _why_not(command: Sequence[str], environment: Mapping[str, str], error: OSError) -> str:
    if not isinstance(error, FileNotFoundError | PermissionError):
        return error.strerror or str(error)
    file = find_program(command[0], environment)
    if isinstance(error, FileNotFoundError) and file is not None:
        interpreter = _interpreter(_head(file))
        if interpreter is None:
            needs = "its dynamic loader is missing (it may be built for another libc)"
        elif interpreter.endswith("\r"):
            needs = "its lines end with a carriage return, so the interpreter is not found"
        else:
            needs = f"its first line names an interpreter that is missing: {interpreter!r}"
        return f"{error.strerror}: {file!r} exists, but {needs}"
    return f"{error.strerror}{shell_advice(command)}"


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a name, and no more
            return file.read(256)  # the kernel reads as much (BINPRM_BUF_SIZE)
    except OSError:
        return b"\0"  # an unreadable file is not a script


def _interpreter(head: bytes) -> str | None:
    """The program in the ``#!`` line; None if there is no such line, or if it is empty."""
    if not head.startswith(b"#!"):
        return None
    words = os.fsdecode(head[2:].partition(b"\n")[0]).strip(" \t").split(" ")
    return words[0] or None


def _why_no_script(head: bytes) -> str | None:
    """Why this file, which the kernel does not run, is not a script; None if it is one."""
    if not head:
        return "the file is empty"
    if b"\0" in head.partition(b"\n")[0]:  # the same test as in bash
        return "it is a program for another architecture, or not a program"
    interpreter = _interpreter(head)
    if interpreter is not None:
        return f"this machine cannot run its interpreter {interpreter!r}"
    return None
