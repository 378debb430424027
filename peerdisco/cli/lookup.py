"""One lookup of a service as the options say, and the remarks about it on stderr."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from ..exceptions import DiscoveryError, NotReady, ServiceNotFound
from ..model import Answered, Empty, Failed, Identity, Observation, Snapshot
from .options import query_arguments
from .output import is_terminal


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The result of one lookup.

    Attributes:
        snapshot: The membership. Without peers if the service has none, and if the lookup failed.
        error: Why there are no peers, or why the lookup failed; None if it succeeded.
        answered: Whether DNS answered. False: the lookup failed.
    """

    snapshot: Snapshot
    error: DiscoveryError | None
    answered: bool


async def lookup(
    args: argparse.Namespace, *, timeout: float, identity: Identity | None
) -> LookupResult:
    """Look up the service of the options once.

    Raises:
        ConfigurationError: An option has an invalid value.
        IdentityError: The service depends on this pod's identity, which is not known.
    """
    from ..pod.environment import wait_for_pod_environment  # noqa: PLC0415 - not needed for --help
    from ..sources.once import observe_once, snapshot_from_observation  # noqa: PLC0415
    from ..sources.options import LookupOptions  # noqa: PLC0415

    pod = await wait_for_pod_environment()
    plan = LookupOptions(**query_arguments(args, identity)).plan(pod)
    async with plan.opened() as source:
        async with _shown(source.service, timeout):
            observation, may_be_stale = await observe_once(source, timeout=timeout)
        if may_be_stale:
            print(f"peerdisco: {may_be_stale_in_words(source.service)}", file=sys.stderr)
        if args.verbose:
            print(f"peerdisco: {_in_words(observation, source.service)}", file=sys.stderr)
        try:
            snapshot = snapshot_from_observation(
                observation, source.service, plan.builder, may_be_stale=may_be_stale
            )
            return LookupResult(snapshot, None, True)
        except ServiceNotFound as error:
            return LookupResult(error.snapshot, error, True)
        except DiscoveryError as error:
            unknown = plan.builder.snapshot(source.service, (), observed_at=None)
            return LookupResult(unknown, error, False)


def _shown(service: str, timeout: float) -> AbstractAsyncContextManager[None]:
    """Shows on a terminal that a lookup takes long."""
    if not is_terminal(sys.stderr):
        return nullcontext()
    from .progress import progress  # noqa: PLC0415 - for a terminal alone

    return progress(lambda seconds: f"the answer about {service}, {seconds:.0f} s of {timeout:g} s")


def may_be_stale_in_words(service: str) -> str:
    """The remark of a command whose snapshot is `Snapshot.may_be_stale`."""
    return (
        f"{service}: the list may be out of date: every answer has TTL 0, as from a cache that "
        "serves stale answers while its upstream is unreachable, or from a zone configured with it"
    )


def timeout_in_words(error: NotReady) -> str:
    """The message of a command that timed out, with the error of the last lookup if it failed."""
    if error.__cause__ is None:
        return str(error)
    return f"{error}; the last lookup failed: {' '.join(str(error.__cause__).split())}"


def _in_words(observation: Observation, service: str) -> str:
    match observation:
        case Answered(peers=peers, ttl=ttl, attempt=attempt):
            return f"{service}: {len(peers)} peers, TTL {ttl:g} s: {attempt or 'fixed list'}"
        case Empty(attempt=attempt):
            return f"{service}: no peers: {attempt}"
        case Failed(error=error):
            return f"{service}: failed: {type(error).__name__}"
