"""The statements in which the two families differ. Pure.

MariaDB: https://mariadb.com/kb/en/change-master-to/. MySQL:
https://dev.mysql.com/doc/refman/8.4/en/change-replication-source-to.html.
"""

from __future__ import annotations

from dataclasses import dataclass

from .literals import host_name, literal
from .positions import MariaDBPosition, Position
from .setup import HEARTBEAT, Account, replication_password
from .versions import Flavour, Version

__all__ = ["OPEN", "Dialect", "ReplicationSource", "SourceTrust", "Step"]

OPEN = "SET GLOBAL read_only = OFF"
"""Allows writes; on MySQL those of administrators, too."""


@dataclass(frozen=True, slots=True)
class SourceTrust:
    """How a replica's server verifies its source, before it logs in there.

    Attributes:
        tls_ca: The file with the CA, in the file system of the server: it uses TLS only, and the
            certificate must have the name of the source. None to leave its settings for TLS alone.
        public_key: The file with the source's RSA key for ``caching_sha2_password`` without TLS,
            also there: without ``tls_ca``, TLS is not used. None for the key that the source sends.
            MariaDB has no use for it.
    """

    tls_ca: str | None = None
    public_key: str | None = None


NO_TRUST = SourceTrust()
"""Nothing is configured."""


@dataclass(frozen=True, slots=True)
class ReplicationSource:
    """The source to replicate from.

    Attributes:
        host: A DNS name, so that a new address needs no new configuration.
        port: Its port.
        account: With which to log in there.
        trust: How it is verified.

    Raises:
        ConfigurationError: The host is no DNS name.
    """

    host: str
    port: int
    account: Account
    trust: SourceTrust = NO_TRUST

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", host_name(self.host))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do on a server.

    Attributes:
        doing: What is done, in words.
        sql: The statement; it may hold a password, and is never shown.
    """

    doing: str
    sql: str

    def __repr__(self) -> str:
        return f"Step({self.doing!r})"


_CONNECT_RETRY = 1
"""Seconds between two tries to connect to the source."""

_RETRIES = 86400
"""Connection attempts before MySQL's receiver stops. Its default is 10, which is over before a pod
is back on another node. MariaDB's default is this number."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The statements as a server of this version takes them."""

    version: Version

    @property
    def _mariadb(self) -> bool:
        return self.version.flavour is Flavour.MARIADB

    def follow(self, source: ReplicationSource) -> Step:
        """Configure the source; replication must be stopped.

        Raises:
            ConfigurationError: The password is longer than a replica can log in with.
        """
        account = source.account
        password = literal(replication_password(self.version.flavour, account))
        if self._mariadb:
            options = {
                "MASTER_HOST": literal(source.host),
                "MASTER_PORT": str(source.port),
                "MASTER_USER": literal(account.user),
                "MASTER_PASSWORD": password,
                "MASTER_CONNECT_RETRY": str(_CONNECT_RETRY),
                "MASTER_HEARTBEAT_PERIOD": str(HEARTBEAT),
                # Not current_pos: one local write would be taken for the primary's.
                "MASTER_USE_GTID": "slave_pos",
            }
            if source.trust.tls_ca is not None:
                options |= {
                    "MASTER_SSL": "1",
                    "MASTER_SSL_CA": literal(source.trust.tls_ca),
                    "MASTER_SSL_VERIFY_SERVER_CERT": "1",
                }
            verb = "CHANGE MASTER TO"
        else:
            options = {
                "SOURCE_HOST": literal(source.host),
                "SOURCE_PORT": str(source.port),
                "SOURCE_USER": literal(account.user),
                "SOURCE_PASSWORD": password,
                "SOURCE_CONNECT_RETRY": str(_CONNECT_RETRY),
                "SOURCE_RETRY_COUNT": str(_RETRIES),
                "SOURCE_HEARTBEAT_PERIOD": str(HEARTBEAT),
                "SOURCE_AUTO_POSITION": "1",
                # caching_sha2_password needs it where the connection is not encrypted.
                "GET_SOURCE_PUBLIC_KEY": "1",
            }
            if source.trust.tls_ca is not None:
                options |= {
                    "SOURCE_SSL": "1",
                    "SOURCE_SSL_CA": literal(source.trust.tls_ca),
                    "SOURCE_SSL_VERIFY_SERVER_CERT": "1",
                    "GET_SOURCE_PUBLIC_KEY": "0",
                }
            if source.trust.public_key is not None:
                # Over TLS that is not verified, the password is sent as it is, whatever the key.
                options |= {} if source.trust.tls_ca is not None else {"SOURCE_SSL": "0"}
                options |= {
                    "SOURCE_PUBLIC_KEY_PATH": literal(source.trust.public_key),
                    "GET_SOURCE_PUBLIC_KEY": "0",
                }
            verb = "CHANGE REPLICATION SOURCE TO"
        listed = ", ".join(f"{name} = {value}" for name, value in options.items())
        return Step(f"setting the source to {source}", f"{verb} {listed}")

    def start(self) -> Step:
        return Step("starting replication", "START REPLICA")

    def stop(self) -> Step:
        return Step("stopping replication", "STOP REPLICA")

    def stop_receiver(self) -> Step:
        return Step("stopping the receiver", "STOP REPLICA IO_THREAD")

    def start_receiver(self) -> Step:
        return Step("starting the receiver", "START REPLICA IO_THREAD")

    def discard_relay_logs(self) -> Step:
        """Forget what was received and not applied, and keep the source; it is received again."""
        return Step("discarding relay logs that cannot be read", "RESET REPLICA")

    def forget_source(self) -> Step:
        return Step("forgetting the source", "RESET REPLICA ALL")

    def forget_own_log(self) -> tuple[Step, ...]:
        """Forget what a blank server logged while it was initialised."""
        doing = "clearing the binary log of a server that holds no data"
        if self._mariadb:
            return (
                Step(doing, "RESET MASTER"),
                Step("clearing its position", "SET GLOBAL gtid_slave_pos = ''"),
            )
        if self.version.number >= (8, 2, 0):
            return (Step(doing, "RESET BINARY LOGS AND GTIDS"),)
        return (Step(doing, "RESET MASTER"),)

    def count_as_applied(self, position: str) -> Step:
        """Continue after these transactions; replication must be stopped. For MariaDB."""
        sql = f"SET GLOBAL gtid_slave_pos = {literal(position)}"
        return Step("counting what is in its log as applied", sql)

    def drop_own_log(self) -> Step:
        """Drop administrative statements from a replica's log. For MariaDB."""
        return Step("dropping administrative statements from its own log", "RESET MASTER")

    def mark_log(self, position: str) -> Step:
        """Let an empty log say that everything up to here came before it. For MariaDB."""
        sql = f"SET GLOBAL gtid_binlog_state = {literal(position)}"
        return Step("recording where its log begins", sql)

    def next_log(self) -> Step:
        return Step("beginning another binary log", "FLUSH BINARY LOGS")

    def unlogged(self, *steps: Step) -> tuple[Step, ...]:
        """The same steps without a trace in the binary log; at least one."""
        return (
            Step(steps[0].doing, "SET SESSION sql_log_bin = 0"),
            *steps,
            Step(steps[-1].doing, "SET SESSION sql_log_bin = 1"),
        )

    def from_own_log(self, position: Position) -> tuple[Step, ...]:
        """Let a server that was a primary follow from the end of its own log.

        MariaDB keeps what a replica has applied apart from what the server itself has written.
        """
        if not isinstance(position, MariaDBPosition) or not position.logged:
            return ()
        doing = "setting the position to the end of its own log"
        # In two statements: one that reads and sets both waits for itself for ever.
        return (
            Step(doing, "SET @position = @@GLOBAL.gtid_current_pos"),
            Step(doing, "SET GLOBAL gtid_slave_pos = @position"),
        )

    def close(self) -> Step:
        """Refuse writes; on MySQL those of administrators too."""
        name = "read_only" if self._mariadb else "super_read_only"
        return Step("making it read-only", f"SET GLOBAL {name} = ON")

    def open_to_some(self) -> tuple[Step, ...]:
        """Allow the writes of this package, and still none of applications."""
        if self._mariadb:
            return ()
        return (Step("allowing its own writes", "SET GLOBAL super_read_only = OFF"),)

    def open(self) -> Step:
        """Allow writes."""
        return Step("opening it for writes", OPEN)
