"""Doing something in a fork of this process, within a time limit."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any

LIMIT = 10.0
"""Seconds after which a child that says nothing hangs."""


def in_child(work: Callable[[], Any]) -> Any:
    """What this returns in a forked child: something that JSON can hold.

    Raises:
        AssertionError: The child hangs, or the function raised.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = json.dumps(["returned", work()])
        except BaseException:  # noqa: BLE001 - reported to the parent
            said = json.dumps(["raised", traceback.format_exc()])
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], LIMIT)
        assert ready, f"the child has not ended within {LIMIT:g} s"
        with os.fdopen(reading, closefd=False) as pipe:
            how, value = json.load(pipe)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert how == "returned", value
    return value


def error_of(work: Callable[[], Any]) -> tuple[str, str]:
    """The class and the text of the error that this raises; an AssertionError without one."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error).__name__, str(error)
    raise AssertionError("it raised nothing")
