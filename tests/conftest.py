"""What every test is held to."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from .unclosed import unclosed

settings.register_profile("peerdisco", derandomize=True, deadline=None)
settings.load_profile("peerdisco")

MUST_RUN = os.environ.get("PEERDISCO_TEST_ALL") == "1"
"""Set where everything that can be installed is: there a skipped test is a failed one."""

CANNOT_BE_HAD = "this machine "
"""How the reason of a skip begins for what no package brings: the kernel has it, or it has not."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if MUST_RUN and report.skipped and CANNOT_BE_HAD not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and need not be: {report.longrepr}"
    return report


def pytest_collection_finish() -> None:
    """Take the tests themselves out of every garbage collection: it is a hundred times faster."""
    # The first property of a process searches for what refers to its random numbers.
    given(strategies.none())(lambda nothing: None)()
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_pod_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that peerdisco would read of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("PEERDISCO_", "POD_")) and name != "PEERDISCO_REWRITE_DOCS":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def the_log_is_left_as_it_was() -> Iterator[None]:
    """No test leaves a level, a handler or a filter that the next ones would log with."""
    before = _logging()
    yield
    assert _logging() == before, "left by this test; end what changed the log"


def _logging() -> dict[str, object]:
    """How the loggers of the package are set, without those that are as new."""
    loggers = logging.root.manager.loggerDict.items()
    return {
        name: (logger.level, logger.propagate, logger.disabled, *logger.handlers)
        for name, logger in [("", logging.root), *loggers]
        if isinstance(logger, logging.Logger)
        and name.partition(".")[0] in ("", "peerdisco")
        and (logger.level or logger.handlers or logger.disabled or not logger.propagate)
    }


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_unclosed() -> Iterator[None]:
    """No test of the file leaves an event loop, a transport, a socket or a file unclosed.

    Python would collect it later, in the middle of another test, whose descriptors would then
    be fewer than it counted.
    """
    yield
    assert unclosed() == [], "left by the tests of this file; close it where it is opened"
