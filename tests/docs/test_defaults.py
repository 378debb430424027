"""The API reference shows the default values themselves, not the names of constants."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import peerdisco
import peerdisco.hooks
import peerdisco.sync
from tests.docs.markdown import ROOT

_spec = importlib.util.spec_from_file_location("defaults", ROOT / "docs" / "_tools" / "defaults.py")
assert _spec is not None
assert _spec.loader is not None
defaults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(defaults)


def callables() -> Iterator[Callable[..., Any]]:
    for module in (peerdisco, peerdisco.sync, peerdisco.hooks):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                yield value
            if inspect.isclass(value):
                yield from (m for _, m in inspect.getmembers(value, inspect.isfunction))


def as_written(function: Callable[..., Any]) -> str | None:
    """The signature as it stands in the source, with the names of constants."""
    target = function.__init__ if inspect.isclass(function) else function  # type: ignore[misc]
    try:
        (node,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(target))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return f"({ast.unparse(node.args)})"


def test_constants_become_values() -> None:
    def wait(timeout: float = TIMEOUT, name: str = "A", *, port: int | None = PORT) -> None: ...

    # As autodoc leaves it: its own objects, which show the names.
    kept = inspect.signature(wait).parameters.values()
    wait.__signature__ = inspect.Signature([p.replace(default=object()) for p in kept])  # type: ignore[attr-defined]
    text = "(timeout: float = TIMEOUT, name: str = 'A', *, port: int | None = PORT) -> None"
    assert defaults.with_values(wait, text) == (
        "(timeout: float = 5.0, name: str = 'A', *, port: int | None = 3306) -> None"
    )


TIMEOUT, PORT = 5.0, 3306


def test_no_public_signature_keeps_the_name_of_a_number() -> None:
    checked = 0
    for function in callables():
        written = as_written(function)
        if written is None:
            continue
        shown = defaults.with_values(function, written)
        kept = re.findall(r"=\s?(_?[A-Z][A-Z0-9_]+)\b", shown)
        assert not kept, (function, kept)
        checked += shown != written
    if not checked:
        pytest.fail("no constant was found in any signature")
