"""Chooses the event loop of a process and of every Python process below it, for tests alone.

Python imports this module at its start where this directory is on ``PYTHONPATH``. The variable
``EVENT_LOOP`` then says what ``asyncio.run()`` and everything else that makes a loop gets:

- ``asyncio``: what Python has
- ``debug``: the same in debug mode
- ``eager``: the same with eager tasks, which Python has from 3.12 on
- ``uvloop``: uvloop
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

VARIABLE = "EVENT_LOOP"

_new_event_loop = asyncio.new_event_loop

SLOW = 60.0
"""Seconds that debug mode lets a callback take; a busy machine is no finding."""


def _debug() -> asyncio.AbstractEventLoop:
    loop = _new_event_loop()
    loop.set_debug(True)
    loop.set_debug = lambda enabled: None  # type: ignore[method-assign]  # pytest-asyncio sets it
    loop.slow_callback_duration = SLOW  # type: ignore[attr-defined]
    return loop


def _eager() -> asyncio.AbstractEventLoop:
    loop = _new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    return loop


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


VARIANTS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": _new_event_loop,
    "debug": _debug,
    "eager": _eager,
    "uvloop": _uvloop,
}

if VARIABLE in os.environ:
    # Where asyncio.Runner, and with it asyncio.run() and pytest-asyncio, looks it up.
    asyncio.events.new_event_loop = asyncio.new_event_loop = VARIANTS[os.environ[VARIABLE]]
