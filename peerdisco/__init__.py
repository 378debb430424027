"""Peer discovery for stateful applications behind Kubernetes headless services.

Each public name is loaded when it is first used, so that ``import peerdisco`` costs a script, or a
probe that runs every few seconds, no more than it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import hooks as hooks
    from . import mysql as mysql
    from . import sources as sources
    from . import sync
    from . import testing as testing
    from .conditions import Condition, at_least, quorum
    from .discovery import Discovery, PrimaryWatch, Watch
    from .exceptions import (
        AmbiguousPrimary,
        ConfigurationError,
        DiscoveryError,
        IdentityConflict,
        IdentityError,
        IncompleteAnswer,
        NotHeadless,
        NotReady,
        PeerNotListed,
        ResolverUnavailable,
        ResolveTimeout,
        ServiceNotFound,
        SourceFailed,
        StaleAnswer,
        UnusableAnswer,
        WatcherError,
    )
    from .model import Attempt, Change, Identity, Outcome, Peer, Ports, PrimaryPolicy, Snapshot
    from .names import parse_pod_name
    from .observability.events import HookEnded, LookupEnded, Observer
    from .pod.identity import local_identity
    from .primary.policies import lowest_ordinal, ordinal
    from .primary.probing import probe_peers
    from .primary.verdicts import (
        Decision,
        Probe,
        Reason,
        ReasonCode,
        Verdict,
        confirm_local_primary,
        may_bootstrap,
        must_step_down,
    )
    from .sources.once import discover

__all__ = [
    "AmbiguousPrimary",
    "Attempt",
    "Change",
    "Condition",
    "ConfigurationError",
    "Decision",
    "Discovery",
    "DiscoveryError",
    "HookEnded",
    "Identity",
    "IdentityConflict",
    "IdentityError",
    "IncompleteAnswer",
    "LookupEnded",
    "NotHeadless",
    "NotReady",
    "Observer",
    "Outcome",
    "Peer",
    "PeerNotListed",
    "Ports",
    "PrimaryPolicy",
    "PrimaryWatch",
    "Probe",
    "Reason",
    "ReasonCode",
    "ResolveTimeout",
    "ResolverUnavailable",
    "ServiceNotFound",
    "Snapshot",
    "SourceFailed",
    "StaleAnswer",
    "UnusableAnswer",
    "Verdict",
    "Watch",
    "WatcherError",
    "at_least",
    "confirm_local_primary",
    "discover",
    "local_identity",
    "lowest_ordinal",
    "may_bootstrap",
    "must_step_down",
    "ordinal",
    "parse_pod_name",
    "probe_peers",
    "quorum",
    "sync",
]

__version__ = "0.1.0"

_HOMES = {
    "conditions": ("Condition", "at_least", "quorum"),
    "discovery": ("Discovery", "PrimaryWatch", "Watch"),
    "exceptions": (
        "AmbiguousPrimary",
        "ConfigurationError",
        "DiscoveryError",
        "IdentityConflict",
        "IdentityError",
        "IncompleteAnswer",
        "NotHeadless",
        "NotReady",
        "PeerNotListed",
        "ResolveTimeout",
        "ResolverUnavailable",
        "ServiceNotFound",
        "SourceFailed",
        "StaleAnswer",
        "UnusableAnswer",
        "WatcherError",
    ),
    "pod.identity": ("local_identity",),
    "model": (
        "Attempt",
        "Change",
        "Identity",
        "Outcome",
        "Peer",
        "Ports",
        "PrimaryPolicy",
        "Snapshot",
    ),
    "names": ("parse_pod_name",),
    "observability.events": ("HookEnded", "LookupEnded", "Observer"),
    "primary.policies": ("lowest_ordinal", "ordinal"),
    "primary.probing": ("probe_peers",),
    "primary.verdicts": (
        "Decision",
        "Probe",
        "Reason",
        "ReasonCode",
        "Verdict",
        "confirm_local_primary",
        "must_step_down",
        "may_bootstrap",
    ),
    "sources.once": ("discover",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


_MODULES = ("hooks", "mysql", "sources", "sync", "testing")
"""The public modules, which ``import peerdisco`` makes available too."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
