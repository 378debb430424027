"""Command lines of hooks: words for a program, or text for a shell."""

from __future__ import annotations

import re
import shutil
import subprocess

from ..exceptions import ConfigurationError

__all__ = ["refuse_shell_text", "shell_command"]

SHELL = "/bin/sh"

_PIECE = re.compile(
    r"""\\(?P<escaped>.)|'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<bare>.)""", re.DOTALL
)
_QUOTED = "\0"
"""Stands for a quoted character, which no shell takes for more than a character."""

_OPERATOR = re.compile(r"\d*[<>].*|[|&;()].*|.*[|&;]")
_EXPANSION = re.compile(r"\$[A-Za-z_{(]|`")
_FILES = re.compile(r"\*|[\w.~-]*/[\w./-]*\*[^:]*|~(/.*)?")

_PLAIN = re.compile(r"[\w@%+:,./= \t-]+", re.ASCII)
"""Words that a shell leaves as they are."""


def refuse_shell_text(text: str, option: str) -> None:
    """Refuse a command line that only a shell would understand, where none is started.

    That is: a word which is an operator to a shell or begins or ends with one (``|``, ``>``,
    ``&&``, ``2>&1``, ``a;``), a variable or a command to be replaced (``$X``, ``${X}``, ``$(id)``,
    a backtick), a pattern of file names (``/etc/*``, ``~``), and a line break. What is quoted is an
    argument, and so is a character in the middle of a word, such as the ``&`` of a URL.

    Args:
        text: The command line.
        option: What an error calls it.

    Raises:
        ConfigurationError: There is such text in it.
    """
    found = _shell_text(text.strip())
    if found is not None:
        raise ConfigurationError(
            option,
            text,
            f"a program and its arguments: no shell is started that would understand {found}: "
            "use sh -c '...' or --shell, or quote it where it is an argument",
        )


def _shell_text(text: str) -> str | None:
    """The first part of a text that only a shell would understand; None if there is none."""
    raw = bare = expanding = ""
    for piece in (*_PIECE.finditer(text), None):
        char = piece["bare"] if piece is not None else " "
        if char is not None and char.isspace():
            if _OPERATOR.fullmatch(bare) or _EXPANSION.search(expanding) or _FILES.fullmatch(bare):
                return repr(raw)
            if char == "\n":
                return "a line break"
            raw = bare = expanding = ""
            continue
        assert piece is not None
        if piece["escaped"] == "\n":
            return "a line break"
        raw += piece[0]
        bare += char or _QUOTED
        # A shell replaces variables within double quotes, too.
        expanding += char or re.sub(r"\\.", _QUOTED, piece["double"] or "") or _QUOTED
    return None


def shell_command(text: str, option: str, *, check: bool) -> list[str]:
    """The command that has a shell read this text.

    A program with plain words behind it, which a shell would leave as they are, is started without
    one: why it cannot be started is then told better than by a shell.

    Args:
        text: What the shell is to read.
        option: What an error calls it.
        check: Whether to find out beforehand that there is such a program.

    Raises:
        ConfigurationError: The text is empty, or there is no such program.
    """
    words = text.split()
    if not words:
        raise ConfigurationError(option, text, "a command")
    if not _PLAIN.fullmatch(text) or "=" in words[0]:
        return [SHELL, "-c", text]
    if shutil.which(words[0]) is not None:
        return words
    if check and not _knows(words[0]):
        place = "it is no executable file" if "/" in words[0] else "PATH has no such program"
        expected = f"a command that can be started: {words[0]!r}: {place}"
        raise ConfigurationError(option, text, expected)
    return [SHELL, "-c", text]


def _knows(word: str) -> bool:
    """Whether the shell has a command of this name, such as ``exec``."""
    call = [SHELL, "-c", 'command -v -- "$1"', SHELL, word]
    try:
        done = subprocess.run(  # noqa: S603 - the word is an argument
            call, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return True  # to be found out when it is run
    return done.returncode == 0
