"""The facts about database servers that the checks judge. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..mysql.facts import ServerFacts
from ..mysql.versions import Flavour

__all__ = ["AccountFacts", "DatabaseFacts", "PeerServer", "TableFacts"]


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account, and what it may do. Never its password.

    Attributes:
        kind: ``local``, ``replication`` or ``backup``.
        user: Its name.
        given: Whether its password was given.
        who: The account that the server chose, such as ``peerdisco@localhost``; None if the login
            failed.
        everywhere: Its privileges on ``*.*``.
        on_cluster: Its privileges on ``peerdisco.*``.
        errno: The number of the error; None without one.
        error: Why it could not be used; None if it could.
    """

    kind: str
    user: str
    given: bool
    who: str | None = None
    everywhere: frozenset[str] = frozenset()
    on_cluster: frozenset[str] = frozenset()
    errno: int | None = None
    error: str | None = None

    def failed(self, errno: int | None, error: str) -> AccountFacts:
        return replace(self, errno=errno, error=error)

    def with_privileges(
        self, who: str, everywhere: frozenset[str], on_cluster: frozenset[str]
    ) -> AccountFacts:
        return replace(self, who=who, everywhere=everywhere, on_cluster=on_cluster)


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table that a copy may lose.

    Attributes:
        schema: Its schema.
        name: Its name.
        engine: Its storage engine.
        versioned: Whether it keeps old rows (MariaDB: ``WITH SYSTEM VERSIONING``).
    """

    schema: str
    name: str
    engine: str
    versioned: bool = False


@dataclass(frozen=True, slots=True)
class PeerServer:
    """The server of a peer.

    Attributes:
        name: The pod's name.
        server_id: Its number; None if it did not answer.
        read_only: Whether it refuses writes; None if it did not answer.
        error: Why it did not answer; None if it did.
    """

    name: str
    server_id: int | None = None
    read_only: bool | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The server in this pod, and those of the peers.

    Attributes:
        where: Its address or socket.
        accounts: The accounts, in the order local, replication, backup.
        server: Its facts; None if the local account could not read them.
        variables: Its global variables.
        status: Its global status, as far as semi-synchronous replication is concerned.
        tables: The tables that a copy may lose; None if no account could see all tables.
        peers: The servers of the peers.
        flavour: The family that was given as an option; None without one.
        ordinal: This pod's ordinal; None if not known.
        hostname: This pod's fully qualified name; None if not known.
    """

    where: str
    accounts: tuple[AccountFacts, ...]
    server: ServerFacts | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[TableFacts, ...] | None = None
    peers: tuple[PeerServer, ...] = ()
    status: Mapping[str, str] = field(default_factory=dict)
    flavour: Flavour | None = None
    ordinal: int | None = None
    hostname: str | None = None

    @property
    def family(self) -> Flavour | None:
        """The family of the server; None if not known."""
        return self.server.flavour if self.server is not None else self.flavour
