"""Imports packages without what most runs of a command never use.

Only for the command's own process: an application that imports peerdisco gets its packages whole.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["import_asyncio_without_tls", "import_driver_without_rsa"]


def import_asyncio_without_tls() -> None:
    """Import asyncio without `ssl`, unless one of them is already loaded.

    `ssl` with its libraries takes more than 4 MB of the memory of a process. asyncio can do without
    it, for a Python that was built without TLS; only its own TLS is missing then. Afterwards
    ``import ssl`` works as usual, for exporters of metrics for instance.
    """
    if "asyncio" not in sys.modules:
        with _as_if_not_installed("ssl"):
            import asyncio  # noqa: F401, PLC0415 - it stays loaded


def import_driver_without_rsa() -> None:
    """Import PyMySQL, below aiomysql, without `cryptography`, unless one of them is loaded.

    `cryptography` takes 8 MB. PyMySQL can do without it, and encrypts no passwords then;
    `peerdisco.mysql.guarded` loads it when a password has to be encrypted. Without PyMySQL nothing
    happens.
    """
    if "pymysql" not in sys.modules:
        with _as_if_not_installed("cryptography"):
            try:
                importlib.import_module("pymysql")
            except ModuleNotFoundError:
                return


@contextmanager
def _as_if_not_installed(name: str) -> Iterator[None]:
    """Let imports of a package fail, unless it is already loaded."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # importing it fails
    try:
        yield
    finally:
        del sys.modules[name]
