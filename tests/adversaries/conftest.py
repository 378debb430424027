from __future__ import annotations

from tests.cli.conftest import script
from tests.unit.conftest import nothing_is_left, serve
from tests.unit.pod.test_environment import hangs

__all__ = ["hangs", "nothing_is_left", "script", "serve"]
