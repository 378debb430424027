"""What every test is held to."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

MUST_RUN = os.environ.get("PEERDISCO_TEST_ALL") == "1"
"""Set where everything that a test needs can be had: there a skipped test is a failed one."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if MUST_RUN and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be here: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that peerdisco would read of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("PEERDISCO_", "POD_")) and name != "PEERDISCO_REWRITE_DOCS":
            monkeypatch.delenv(name)
