"""A hook of ``run`` that says when it takes long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

from ..hooks import CommandHook, Event
from ..model import Change
from .progress import print_waiting, progress, updated_line

__all__ = ["ShownHook"]


@dataclass(frozen=True)
class ShownHook(CommandHook):
    """A command whose runs of more than a second are shown, in lines between its own output.

    Args:
        name: The name of the hook: ``on-start`` or ``on-change``.
        log: Writes a line.
    """

    name: str = field(default="", kw_only=True)
    log: Callable[[str], object] = field(default=print_waiting, kw_only=True)

    @classmethod
    def of(cls, hook: CommandHook, name: str, log: Callable[[str], object]) -> ShownHook:
        """The same hook, shown."""
        options = {each.name: getattr(hook, each.name) for each in fields(hook)}
        return cls(**options, name=name, log=log)

    async def __call__(self, change: Change, event: Event = "change") -> None:
        updated_line.clear()  # the hook writes to the same terminal
        async with progress(self._in_words, log=self.log, update=False):
            await super().__call__(change, event)

    def _in_words(self, seconds: float) -> str:
        limit = "" if self.timeout is None else f" of {self.timeout:g} s"
        return f"the {self.name} hook runs, {seconds:.0f} s{limit}"
