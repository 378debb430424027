from __future__ import annotations

import pytest

from .servers import MARIADB, MYSQL


@pytest.fixture(params=[MARIADB, MYSQL])
def version(request: pytest.FixtureRequest) -> str:
    """A server of each family."""
    found: str = request.param
    return found
