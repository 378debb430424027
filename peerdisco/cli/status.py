"""The exit statuses, a promise to scripts."""

OK = 0
NO = 1
"""``is-primary``: no."""
WRONG = 2
"""A wrong call, an unreachable name server, or something that cannot be told."""
NONE = 3
"""There is no such peer, and that was answered."""
INCOMPLETE = 4
"""The list may lack pods."""
TIMED_OUT = 5
"""What was waited for did not come in time."""
UNWRITTEN = 6
"""The output could not be written: stdout is closed, or its disk is full."""
INTERRUPTED = 130
"""Ended by SIGINT, as shells count it."""


class Ended(Exception):
    """A signal ended the work.

    Attributes:
        number: Which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status by which shells know a command that a signal ended."""
        return 128 + self.number
