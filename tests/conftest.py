"""What every test is held to."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

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


@pytest.fixture(autouse=True)
def no_pod_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that peerdisco would read of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("PEERDISCO_", "POD_")) and name != "PEERDISCO_REWRITE_DOCS":
            monkeypatch.delenv(name)
