"""Man pages, made from the parsers of the commands."""

from __future__ import annotations

import argparse

from .. import __version__

__all__ = ["man_page"]


def man_page(
    parser: argparse.ArgumentParser, command: str | None, summary: str | None = None
) -> str:
    """The man page of a command in roff; None stands for the overview.

    Args:
        parser: The parser of the command.
        command: The name of the command.
        summary: The command in a few words; None for the first sentence of its description.
    """
    parser.color = False  # type: ignore[attr-defined]  # Python 3.14 colours it on a terminal
    name = "peerdisco" if command is None else f"peerdisco-{command}"
    description = (parser.description or "").strip()
    summary = summary or description.partition(".")[0].replace("\n", " ")
    usage = parser.format_usage().rstrip()
    indent = len("usage: ")
    lines = [
        f'.TH "{name.upper()}" "1" "" "peerdisco {__version__}" "User Commands"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(summary)}",
        ".SH SYNOPSIS",
        *_verbatim("\n".join(line[indent:] for line in usage.splitlines())),
        ".SH DESCRIPTION",
        *(_verbatim(description) if command is None else [_roff(description)]),
    ]
    for group in parser._action_groups:  # noqa: SLF001 - argparse has no public way
        actions = [
            action
            for action in group._group_actions  # noqa: SLF001
            if action.help != argparse.SUPPRESS
        ]
        if actions:
            lines.append(f".SH {_roff((group.title or '').upper())}")
            lines += [line for action in actions for line in _option(parser, action)]
    for title, text in _sections(parser.epilog or ""):
        lines += [f".SH {_roff(title.upper())}", *_verbatim(text)]
    return "\n".join(lines) + "\n"


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """A paragraph with the option in bold and its help; of commands, one for each."""
    formatter = parser._get_formatter()  # noqa: SLF001 - as argparse prints it
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
        choices = action._get_subactions()  # noqa: SLF001
        return [
            line
            for one in choices
            for line in (".TP", f"\\fB{_roff(one.dest)}\\fR", _roff(one.help or ""))
        ]
    called = formatter._format_action_invocation(action)  # noqa: SLF001
    text = formatter._expand_help(action) if action.help else ""  # noqa: SLF001
    return [".TP", f"\\fB{_roff(called)}\\fR", _roff(text)]


def _sections(epilog: str) -> list[tuple[str, str]]:
    """The paragraphs of an epilog, with their titles: ``exit status:`` begins one."""
    found: list[tuple[str, list[str]]] = []
    for line in epilog.splitlines():
        title, colon, rest = line.partition(":")
        if colon and not rest and line[0].isalpha():
            found.append((title.partition(" (")[0], []))
        elif found:
            found[-1][1].append(line)
        else:
            found.append(("notes", [line]))
    return [(title, "\n".join(lines).strip("\n")) for title, lines in found]


def _verbatim(text: str) -> list[str]:
    """Text whose lines stay as they are."""
    return [".nf", *(_roff(line) for line in text.splitlines()), ".fi"]


def _roff(text: str) -> str:
    """Text with what roff would interpret escaped."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in escaped.split("\n"))
