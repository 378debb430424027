"""The command line of a hook: arguments for a program, or text for a shell."""

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
"""Stands for a quoted character, which has no special meaning to a shell."""

_OPERATOR = re.compile(r"\d*[<>].*|[|&;()].*|.*[|&;]")
_EXPANSION = re.compile(r"\$[A-Za-z_{(]|`")
_FILES = re.compile(r"\*|[\w.~-]*/[\w./-]*\*[^:]*|~(/.*)?")

_PLAIN = re.compile(r"[\w@%+:,./= \t-]+", re.ASCII)
"""Text that a shell does not change."""


def refuse_shell_text(text: str, option: str) -> None:
    """Refuse a command line that needs a shell, because no shell is started.

    It needs a shell if it has a word that is an operator, or that begins or ends with one (``|``,
    ``>``, ``&&``, ``2>&1``, ``a;``), an expansion (``$X``, ``${X}``, ``$(id)``, a backtick), a
    pattern of file names (``/etc/*``, ``~``), or a line break. Quoted text is an argument, and so
    is a character in the middle of a word, such as the ``&`` of a URL.

    Args:
        text: The command line.
        option: The option, for the error.

    Raises:
        ConfigurationError: The command line needs a shell.
    """
    found = _shell_text(text.strip())
    if found is not None:
        raise ConfigurationError(
            option,
            text,
            f"a program and its arguments: no shell is started, and {found} needs one: "
            "use --shell or sh -c '...', or quote it if it is an argument",
        )


def _shell_text(text: str) -> str | None:
    """The first part of a text that needs a shell; None if there is none."""
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
        # A shell also expands variables within double quotes.
        expanding += char or re.sub(r"\\.", _QUOTED, piece["double"] or "") or _QUOTED
    return None


def shell_command(text: str, option: str, *, check: bool) -> list[str]:
    """The command that runs this text in a shell.

    A program with plain arguments, which a shell would not change, is started without a shell: its
    error is then better than that of a shell.

    Args:
        text: The text for the shell.
        option: The option, for the error.
        check: Whether to check now that the program exists.

    Raises:
        ConfigurationError: The text is empty, or the program does not exist.
    """
    words = text.split()
    if not words:
        raise ConfigurationError(option, text, "a command")
    if not _PLAIN.fullmatch(text) or "=" in words[0]:
        return [SHELL, "-c", text]
    if shutil.which(words[0]) is not None:
        return words
    if check and not _knows(words[0]):
        place = "not an executable file" if "/" in words[0] else "no such program in PATH"
        expected = f"a command that can be started ({words[0]!r}: {place})"
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
        return True  # the run of the hook will show it
    return done.returncode == 0
