"""The annotations of everything public, read as frameworks read them: when the program runs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import peerdisco

MODULES = [
    module.name
    for module in pkgutil.walk_packages(peerdisco.__path__, "peerdisco.")
    # The command is a program: nobody imports it, and it delays what a command does not need.
    if not module.name.endswith("__main__") and not module.name.startswith("peerdisco.cli.")
]


def annotated(name: str, public: Any) -> Iterator[tuple[str, Any]]:
    """A function, or a class with its public methods and properties, without NamedTuple's own."""
    yield name, public
    if not inspect.isclass(public):
        return
    for attribute in dir(public):
        if attribute.startswith("_") and not attribute.endswith("__"):
            continue
        value = inspect.getattr_static(public, attribute)
        value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(value) and not value.__module__.startswith("namedtuple_"):
            yield f"{name}.{attribute}", value


@pytest.mark.parametrize("name", ["peerdisco", *MODULES])
def test_get_type_hints_of_all_that_is_public(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs every extra: pip install --editable '.[aiodns,cli,mysql]' ({error})")
    for public_name in getattr(module, "__all__", ()):
        public = getattr(module, public_name)
        if inspect.isclass(public) or inspect.isfunction(public):
            for where, what in annotated(public_name, public):
                assert isinstance(typing.get_type_hints(what), dict), where


@pytest.mark.parametrize(
    "first", ["exceptions", "model", "model.snapshots", "testing.cluster", "testing.statefulset"]
)
def test_modules_that_need_each_other_are_imported_in_any_order(first: str) -> None:
    program = (
        f"import peerdisco.{first}, typing, peerdisco.exceptions as e, peerdisco.model as m\n"
        "assert typing.get_type_hints(e.NotReady.__init__)['snapshot'] == m.Snapshot | None\n"
        "assert typing.get_type_hints(m.Snapshot)['last_error'] == e.DiscoveryError | None\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=50)
