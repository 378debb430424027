"""What a test leaves to the garbage collection instead of closing it."""

from __future__ import annotations

import gc
import warnings


def unclosed() -> list[str]:
    """What Python complains of when it collects: event loops, transports, sockets, coroutines."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        gc.collect()
    return [str(warning.message) for warning in found]
