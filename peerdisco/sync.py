"""The same names, blocking: for scripts and for code without an event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from . import discovery
from .local import local_identity
from .names import parse_pod_name

__all__ = ["discover", "local_identity", "parse_pod_name"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _blocking(function: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(function(*args, **kwargs))
        raise RuntimeError(
            f"peerdisco.sync.{function.__name__}() would block the running event loop; "
            f"use: await peerdisco.{function.__name__}()"
        )

    return call


discover = _blocking(discovery.discover)
"""`peerdisco.discover`, blocking; call it where no event loop runs."""
