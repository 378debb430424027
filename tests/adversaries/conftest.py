from __future__ import annotations

from tests.cli.conftest import script
from tests.unit.conftest import nothing_is_left, serve

__all__ = ["nothing_is_left", "script", "serve"]
