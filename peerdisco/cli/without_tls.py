"""Imports asyncio without TLS, for the commands that never use it."""

from __future__ import annotations

import sys

__all__ = ["import_asyncio"]


def import_asyncio() -> None:
    """Import asyncio without `ssl`, unless one of them is already loaded.

    `ssl` with its libraries takes more than 4 MB of the memory of a process. asyncio can do without
    it, for a Python that was built without TLS; only its own TLS is missing then. Afterwards
    ``import ssl`` works as usual, for exporters of metrics for instance.
    """
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]  # importing it fails
    try:
        import asyncio  # noqa: F401, PLC0415 - it stays loaded
    finally:
        del sys.modules["ssl"]
