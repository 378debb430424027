"""The values that the whole package shares: frozen, slotted, and free of input and output.

Every room may import it. Begin with `snapshots`; a source makes `observations`, the membership
turns them into a `Snapshot`.
"""

from .changes import Change
from .errors import ConfigurationError, DiscoveryError
from .observations import Answered, Attempt, Empty, Failed, Observation, Outcome
from .peers import Identity, Peer, Ports, in_order
from .snapshots import (
    AmbiguousPrimary,
    IncompleteAnswer,
    PeerNotListed,
    PrimaryPolicy,
    Snapshot,
    clear_primary,
)

__all__ = [
    "AmbiguousPrimary",
    "Answered",
    "Attempt",
    "Change",
    "ConfigurationError",
    "DiscoveryError",
    "Empty",
    "Failed",
    "Identity",
    "IncompleteAnswer",
    "Observation",
    "Outcome",
    "Peer",
    "PeerNotListed",
    "Ports",
    "PrimaryPolicy",
    "Snapshot",
    "clear_primary",
    "in_order",
]
