"""The events that a watcher and a hook runner report to observers, for metrics and traces. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..exceptions import ResolverUnavailable, ResolveTimeout, StaleAnswer, UnusableAnswer
from ..model import Answered, Attempt, Change, DiscoveryError, Empty, Observation, Outcome, Snapshot

__all__ = ["HookEnded", "LookupEnded", "Observer"]


@dataclass(frozen=True, slots=True)
class LookupEnded:
    """A lookup of a watcher has ended.

    Attributes:
        service: The service's fully qualified name.
        observation: What the source returned.
        seconds: The duration of the lookup; almost 0 if it was shared with another watcher.
        change: What the lookup changed; false if nothing. Its snapshot is the membership after it.
    """

    service: str
    observation: Observation
    seconds: float
    change: Change

    @property
    def snapshot(self) -> Snapshot:
        """The membership after the lookup."""
        return self.change.snapshot

    @property
    def error(self) -> DiscoveryError | None:
        """Why the lookup failed; None if it succeeded."""
        return self.snapshot.last_error

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The exchanges with name servers, in order; empty if the source does not report them."""
        if isinstance(self.observation, Answered | Empty):
            attempt = self.observation.attempt
            return self.observation.attempts or (() if attempt is None else (attempt,))
        attempts: tuple[Attempt, ...] = getattr(self.observation.error, "attempts", ())
        return attempts

    @property
    def server(self) -> str:
        """The name server that decided the outcome, as ``address:port``; empty if unknown."""
        attempt = None
        if isinstance(self.observation, Answered | Empty):
            attempt = self.observation.attempt
        elif self.attempts:
            attempt = self.attempts[-1]
        return "" if attempt is None else attempt.server

    @property
    def outcome(self) -> str:
        """The outcome in one word.

        ``answer``, ``no_data``, ``nxdomain``; for a failed lookup the outcome of its last exchange
        (``servfail``, ``refused``, ``timeout``, ...: `Outcome` in lower case), ``stale`` for an
        expired answer from a cache, ``unusable`` for one that names no pod, else ``error``.
        """
        error = self.error
        if error is None:
            observation = self.observation
            outcome = observation.outcome if isinstance(observation, Empty) else Outcome.ANSWER
            return outcome.name.lower()
        if isinstance(error, StaleAnswer):
            return "stale"
        if isinstance(error, UnusableAnswer):
            return "unusable"
        if isinstance(error, ResolveTimeout):
            return "timeout"
        if isinstance(error, ResolverUnavailable) and error.attempts:
            return error.attempts[-1].outcome.name.lower()
        return "error"


@dataclass(frozen=True, slots=True)
class HookEnded:
    """One run of a hook has ended.

    Attributes:
        service: The service's fully qualified name.
        hook: ``on-start`` or ``on-change``.
        seconds: The duration of the run.
        attempt: The number of this run for the same change, from 1.
        error: Why it failed; None if it succeeded.
        cancelled: Whether the run was cancelled, because the process or the runner ends.
    """

    service: str
    hook: str
    seconds: float
    attempt: int
    error: BaseException | None = None
    cancelled: bool = False

    @property
    def outcome(self) -> str:
        """``success``, ``failure`` or ``cancelled``."""
        if self.cancelled:
            return "cancelled"
        return "success" if self.error is None else "failure"


class Observer:
    """Gets the events of watchers and hook runners; subclass it, and override what you need.

    The methods are called in the event loop, after each event, and must not block. An error that a
    method raises is logged, and affects nothing else. One observer may serve several watchers; see
    the ``service`` of each event.
    """

    def lookup_ended(self, event: LookupEnded) -> None:
        """A lookup has ended, successfully or not."""

    def hook_ended(self, event: HookEnded) -> None:
        """A run of a hook has ended."""

    def closed(self, service: str) -> None:
        """A watcher of this service was closed: its gauges mean nothing any longer."""
