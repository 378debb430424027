"""Pausing the sidecar for maintenance: it observes and reports, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..facts import Executor

__all__ = ["Observer", "PauseFile"]

_READS = ("SELECT ", "SHOW ")


class Observer:
    """A connection over which nothing can be changed: other statements than queries are not sent.

    Args:
        server: The connection to the server.
    """

    def __init__(self, server: Executor) -> None:
        self._server = server

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        return await self._server.execute(sql) if sql.startswith(_READS) else []


class PauseFile:
    """A file that pauses the sidecar while it exists.

    Args:
        path: The file; None if there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._exists = False

    @property
    def exists(self) -> bool:
        """Whether it exists. If that cannot be found out, nothing has changed."""
        if self._path is not None:
            try:
                self._path.stat()
                self._exists = True
            except (FileNotFoundError, NotADirectoryError):
                self._exists = False
            except OSError:
                pass
        return self._exists
