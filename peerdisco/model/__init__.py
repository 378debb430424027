"""The values that the whole package shares: frozen, slotted, and free of input and output.

Every room may import it. Begin with `snapshots`; a source makes `observations`, the membership
turns them into a `Snapshot`.
"""

from .errors import ConfigurationError, DiscoveryError
from .observations import Answered, Attempt, Empty, Failed, Observation, Outcome
from .peers import Identity, Peer, Ports, in_order
from .snapshots import AmbiguousPrimary, Change, IncompleteAnswer, PrimaryPolicy, Snapshot

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
    "Ports",
    "PrimaryPolicy",
    "Snapshot",
    "in_order",
]
