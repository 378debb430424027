"""JSON values as YAML, in the block style that people read. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["as_yaml"]

_PLAIN = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*")
"""Text that every version of YAML reads as text, unless it is a word of `_WORDS`."""
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def as_yaml(value: object) -> str:
    """A value of JSON as a YAML document, which ends with a line feed.

    Args:
        value: A mapping, a list, text, a number, True, False or None, nested as in JSON.
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: object) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _entry(f"{_text(str(key))}:", inner, "  ")
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for inner in value:
            first, *rest = _lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(key: str, value: object, indent: str) -> Iterator[str]:
    nested = isinstance(value, Mapping | list | tuple) and value
    if not nested:
        yield f"{key} {_scalar(value)}"
        return
    yield key
    yield from (f"{indent}{line}" for line in _lines(value))


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, list | tuple) else json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text not in _WORDS:
        return text
    # A double-quoted scalar of YAML has the escapes of JSON, but no pairs of surrogates.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
