"""The exit statuses. They are promised to scripts."""

OK = 0
NO = 1
"""``is-primary``: no. ``run`` and ``peer-finder``: a hook failed."""
WRONG = 2
"""A usage error, an unreachable name server, or a question that cannot be answered."""
NONE = 3
"""DNS answered, and lists no such peer."""
INCOMPLETE = 4
"""The list may be incomplete."""
TIMED_OUT = 5
"""The timeout of a command that waits expired."""
UNWRITTEN = 6
"""The output could not be written: stdout is closed, or its disk is full."""
INTERRUPTED = 130
"""Ended by SIGINT: 128 plus the number of the signal, as in shells."""


class Ended(Exception):
    """A signal ended the command.

    Attributes:
        number: The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells use for a command that a signal ended."""
        return 128 + self.number
