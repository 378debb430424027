"""The application with a pool for each server."""

from __future__ import annotations

import pytest

from tests.mysql import mariadb

from .processes import EXAMPLES, assert_tests_pass


@pytest.mark.timeout(120)
def test_application_tests_pass() -> None:
    if (reason := mariadb.missing()) is not None:
        pytest.skip(reason)
    assert_tests_pass(EXAMPLES / "mysql" / "app")
