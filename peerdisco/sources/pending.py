"""A lookup that is described as soon as the pod's files are read, which may hang."""

from __future__ import annotations

from functools import cached_property

from ..pod.environment import PodReading
from .options import LookupOptions, LookupPlan

__all__ = ["PendingPlan"]


class PendingPlan:
    """The plan of a lookup, for which the pod's files have to be read.

    Args:
        options: The options of the lookup.
        pod: The reading of the files.
    """

    def __init__(self, options: LookupOptions, pod: PodReading) -> None:
        self._options = options
        self._pod = pod

    @cached_property
    def plan(self) -> LookupPlan:
        """The plan; the first access waits for the files, unless `read` did.

        Raises:
            IdentityError: A part of the service's name is required and not known, or the files
                were not read before the event loop would be held for too long.
            IdentityConflict: Two facts about this pod contradict each other.
            ConfigurationError: An argument or a variable has an invalid value.
        """
        self._pod.check("start with async with, which waits for the files")
        return self._options.plan(self._pod.result())

    def check(self) -> None:
        """Raise what is wrong with the options.

        In an event loop this is left to `plan` unless the files are read at once: one that hangs
        must not hold the loop.
        """
        if self._pod.wait():
            _ = self.plan

    async def read(self) -> None:
        """Wait for the files without holding the event loop."""
        await self._pod.ready()
