"""Text from other parties, such as a server's error, made fit for a line of a log. Pure."""

from __future__ import annotations

__all__ = ["escaped", "one_line"]

LONGEST = 500
"""Characters of a foreign text that are shown. The servers' own errors are at most 512 bytes."""


def escaped(text: str) -> str:
    """The text with an escape (backslash, x, 1b) for each character that cannot be printed.

    That covers control characters (C0, DEL and C1), which terminals act on, line and paragraph
    separators, and format characters, which change the direction of what follows.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def one_line(text: str, longest: int = LONGEST) -> str:
    """The text on one line, escaped, and shortened to a number of characters.

    Args:
        text: Any text.
        longest: The largest length of the result.
    """
    line = escaped(" ".join(text[: 2 * longest].split()))
    if len(line) <= longest and len(text) <= 2 * longest:
        return line
    return f"{line[: longest - 3]}..."
