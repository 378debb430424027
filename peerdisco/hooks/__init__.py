"""Hooks: functions, coroutines and commands that run when the membership changes.

```python
async with peerdisco.Discovery("my-database") as disco:
    reload = CommandHook(["/etc/mysql/reload-peers"], timeout=30)
    await HookRunner(disco, on_start=prepare, on_change=reload).run()
```

A command gets names from DNS only on its standard input and in its environment, never as an
argument, and no shell is started. `peerdisco.cli` imports this package. Begin with `runner`.
"""

from __future__ import annotations

from .command import CommandHook, Event, HookFailed, StdinFormat
from .contract import Hook, Watched
from .runner import HookRunner

__all__ = ["CommandHook", "Event", "Hook", "HookFailed", "HookRunner", "StdinFormat", "Watched"]
