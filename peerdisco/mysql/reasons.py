"""The reasons that only verdicts on database servers have. Pure."""

from __future__ import annotations

from ..primary.verdicts import Code, Decision

__all__ = ["ServerReasonCode"]


class ServerReasonCode(Code):
    """The reasons of `judge_primary` and `judge_replica` besides those of `peerdisco.ReasonCode`.

    Each leads to one decision.
    """

    OTHER_CLUSTER = ("other-cluster", Decision.REFUSED)
    """A peer's data belongs to another cluster than this pod's."""
    PEER_IS_AHEAD = ("peer-is-ahead", Decision.REFUSED)
    """A peer has transactions that this pod does not have."""
    PRIMARY_IS_OLDER = ("primary-is-older", Decision.REFUSED)
    """This pod, a replica, has transactions of a primary that the primary does not have.
    Its data are older, and this pod's volume must be kept."""
    OWN_CHANGES = ("own-changes", Decision.REFUSED)
    """This pod, a replica, has transactions that no primary wrote."""
    FOREIGN_DATA = ("foreign-data", Decision.REFUSED)
    """This pod holds data that did not come from the primary."""
    NEEDS_COPY = ("needs-copy", Decision.REFUSED)
    """This pod needs data that the primary can no longer send, so it must be given a copy."""
    REPLICATION_BROKEN = ("replication-broken", Decision.REFUSED)
    """Replication stopped with an error that needs an operator."""
    MISCONFIGURED = ("misconfigured", Decision.REFUSED)
    """The server's configuration or its account's privileges do not suffice for its role."""
    PRIMARY_ABSENT = ("primary-absent", Decision.WAIT)
    """The primary is not listed, or its server does not respond."""
    PRIMARY_NOT_READY = ("primary-not-ready", Decision.WAIT)
    """The primary's server responds, but has no database of the cluster yet."""
    REPLICATION_ACCOUNT = ("replication-account", Decision.WAIT)
    """The replication account's password cannot be used, or the primary rejects it."""
    PEER_OUTVOTED = ("peer-outvoted", Decision.ALLOWED)
    """A peer's data belongs to another cluster, or another history, than that of this pod and of
    most pods."""
    FOLLOWS = ("follows", Decision.ALLOWED)
    """This pod may follow the primary."""
    HOLDS_THE_DATA = ("holds-the-data", Decision.ALLOWED)
    """This pod holds the cluster's data, and no peer that responded has more."""
