"""The public names, their signatures, and the options of the commands, against a recorded file.

A change to any of them is a change to ``api.txt`` that a review sees. To record it:
``PEERDISCO_REWRITE_DOCS=1 pytest tests/unit/test_api.py``.
"""

from __future__ import annotations

import argparse
import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import peerdisco
from peerdisco import cli
from tests.docs.markdown import REWRITE

RECORDED = Path(__file__).with_name("api.txt")
MODULES = [
    "peerdisco",
    "peerdisco.sync",
    "peerdisco.hooks",
    "peerdisco.sources",
    "peerdisco.mysql",
    "peerdisco.mysql.aiomysql",
    "peerdisco.testing",
]
OPERATORS = {"__init__", "__call__", "__contains__", "__getitem__", "__iter__", "__len__"}


def plain(text: str) -> str:
    """Without what says nothing of the API: quotes of annotations, addresses, modules of types."""
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    text = re.sub(r"<(?:function|built-in method|built-in function) (\w+)[^>]*>", r"\1", text)
    return re.sub(r"(?<!['\w.])(?:[a-zA-Z_]\w*\.)+(\w+)", r"\1", text)


def signature(value: Any) -> str:
    return plain(str(inspect.signature(value)))


def members(public: type) -> Iterator[str]:
    """The public members that the package itself defines, inherited ones included."""
    for name in sorted(dir(public)):
        homes = [base for base in public.__mro__ if name in vars(base)]
        if not homes or not homes[0].__module__.startswith("peerdisco"):
            continue
        if name.startswith("_") and name not in OPERATORS:
            continue
        value = inspect.getattr_static(public, name)
        function = getattr(value, "__func__", value)
        if isinstance(value, property):
            yield f"{name}: {signature(value.fget).partition(' -> ')[2]}"
        elif inspect.isfunction(function):
            kind = "async " if inspect.iscoroutinefunction(function) else ""
            yield f"{kind}{name}{signature(function)}"
        elif not name.startswith("_"):
            yield name


def described(name: str, public: Any) -> Iterator[str]:
    if isinstance(public, enum.EnumType):
        yield f"enum {name}: {', '.join(f'{one.name}={one.value!r}' for one in public)}"
    elif inspect.isclass(public):
        bases = ", ".join(base.__name__ for base in public.__bases__ if base is not object)
        yield f"class {name}({bases})"
        yield from (f"    {member}" for member in members(public))
    elif inspect.isfunction(public):
        kind = "async def" if inspect.iscoroutinefunction(public) else "def"
        yield f"{kind} {name}{signature(public)}"
    elif inspect.ismodule(public):
        yield f"module {name}"
    else:
        yield f"{name} = {plain(str(public))}"


def names() -> Iterator[str]:
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield f"== {module_name}"
        for name in sorted(module.__all__):
            yield from described(name, getattr(module, name))


def argument(action: argparse.Action) -> str:
    flags = ", ".join(action.option_strings) or action.dest
    facts = {
        "metavar": action.metavar,
        "nargs": action.nargs,
        "choices": list(action.choices) if action.choices is not None else None,
        "default": None if action.default is argparse.SUPPRESS else action.default,
        "required": action.required and bool(action.option_strings),
    }
    return " ".join([flags, *(f"{key}={fact!r}" for key, fact in facts.items() if fact)])


def commands() -> Iterator[str]:
    parser = cli._parser(cli._COMMANDS)
    (action,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for name, command in action.choices.items():
        yield f"== peerdisco {name}"
        yield from sorted(argument(one) for one in command._actions)


def test_names_signatures_and_options_are_the_recorded_ones() -> None:
    found = "\n".join([*names(), *commands()]) + "\n"
    if REWRITE:
        RECORDED.write_text(found, encoding="utf-8")
    recorded = RECORDED.read_text(encoding="utf-8") if RECORDED.exists() else ""
    assert found.splitlines() == recorded.splitlines(), (
        "the public API has changed: record it with PEERDISCO_REWRITE_DOCS=1, and name the change "
        "in CHANGELOG.md"
    )


@pytest.mark.parametrize("name", peerdisco.__all__)
def test_every_public_name_is_recorded(name: str) -> None:
    words = RECORDED.read_text(encoding="utf-8").replace("(", " ").replace(":", " ").split()
    assert name in words
