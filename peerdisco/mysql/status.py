"""A replica's state, in one form for both families. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..wording.foreign import one_line
from .values import number, text

__all__ = ["Receiver", "ReplicaStatus"]


class Receiver(Enum):
    """What the thread that receives from the source does (the IO thread)."""

    RUNNING = "running"
    CONNECTING = "connecting"
    """It has no connection, and tries to get one."""
    STOPPED = "stopped"


_RECEIVERS = {"yes": Receiver.RUNNING, "no": Receiver.STOPPED}


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What ``SHOW REPLICA STATUS`` says of the one, unnamed, channel.

    Attributes:
        source_host: From which host it replicates.
        source_port: From which port.
        source_user: As whom.
        gtid: Whether it goes by GTIDs in the way that this package sets up: ``slave_pos`` or
            auto-position.
        receiver: What the receiving thread does. Running means that it believes in its connection,
            which may have died without a word.
        applier_running: Whether the applying thread (SQL thread) runs.
        receiver_errno: The receiver's last error; 0 if it has none.
        receiver_error: The same in the server's words, escaped and shortened.
        applier_errno: The applier's last error; 0 if it has none.
        applier_error: The same in the server's words, escaped and shortened.
        received: The GTIDs up to which it has received, as the server writes them.
        tls_ca: The file with the CA with which it verifies its source; empty if it does not.
        public_key: The file with the source's RSA key; empty if it has none, or if it may send the
            password as it is, over TLS that is not verified.
        lag: Seconds that it is behind the source, as it knows; None if it cannot tell, which is
            so whenever one of its threads does not run (MySQL says 0 then).
    """

    source_host: str
    source_port: int
    source_user: str
    gtid: bool
    receiver: Receiver
    applier_running: bool
    receiver_errno: int = 0
    receiver_error: str = ""
    applier_errno: int = 0
    applier_error: str = ""
    lag: int | None = None
    received: str = ""
    tls_ca: str = ""
    public_key: str = ""

    @classmethod
    def of_row(cls, row: Mapping[str, object]) -> ReplicaStatus:
        """From a row as a server gives it, with the names of either family.

        MariaDB's columns are ``Slave_*`` and ``Master_*``, those of MySQL from 8.0.22 on
        ``Replica_*`` and ``Source_*``.

        Raises:
            KeyError: A column is missing.
        """

        def column(*names: str) -> str:
            for name in names:
                if name in row:
                    return text(row[name])
            raise KeyError(names[0])

        def shown(*names: str) -> str:
            return one_line(column(*names))

        receiver = _RECEIVERS.get(
            column("Replica_IO_Running", "Slave_IO_Running").lower(), Receiver.CONNECTING
        )
        applies = column("Replica_SQL_Running", "Slave_SQL_Running").lower() == "yes"
        lag = column("Seconds_Behind_Source", "Seconds_Behind_Master")
        gtid = (
            column("Using_Gtid") == "Slave_Pos"
            if "Using_Gtid" in row
            else column("Auto_Position") == "1"
        )
        return cls(
            source_host=shown("Source_Host", "Master_Host"),
            source_port=number(column("Source_Port", "Master_Port")),
            source_user=shown("Source_User", "Master_User"),
            gtid=gtid,
            receiver=receiver,
            applier_running=applies,
            receiver_errno=number(column("Last_IO_Errno") or 0),
            receiver_error=shown("Last_IO_Error"),
            applier_errno=number(column("Last_SQL_Errno") or 0),
            applier_error=shown("Last_SQL_Error"),
            lag=number(lag) if lag and applies and receiver is Receiver.RUNNING else None,
            received=column("Gtid_IO_Pos", "Retrieved_Gtid_Set"),
            tls_ca=_verified_by(row),
            public_key=_encrypted_for(row),
        )

    @property
    def is_displaced(self) -> bool:
        """Whether another replica with the same ``server_uuid`` took its connection."""
        stopped = self.receiver is not Receiver.RUNNING
        return stopped and "same server_uuid" in self.receiver_error

    @property
    def trouble(self) -> str:
        """The error that keeps it from replicating, in brackets; empty if it has none."""
        for errno, error in (
            (self.receiver_errno, self.receiver_error),
            (self.applier_errno, self.applier_error),
        ):
            if errno:
                return f" (error {errno}: {error})"
        return ""

    @property
    def stopped(self) -> bool:
        """Whether neither thread runs."""
        return self.receiver is Receiver.STOPPED and not self.applier_running

    @property
    def running(self) -> bool:
        """Whether both threads run."""
        return self.receiver is Receiver.RUNNING and self.applier_running


def _encrypted_for(row: Mapping[str, object]) -> str:
    """The file with the RSA key, if the source cannot get the password without that key."""
    if row.get("Source_SSL_Allowed") == "Yes" and not _verified_by(row):
        return ""
    return str(row.get("Source_public_key_path") or "")


def _verified_by(row: Mapping[str, object]) -> str:
    """The file with the CA, if the source is reached over TLS alone and its name is verified."""
    for word in ("Source", "Master"):
        settings = (row.get(f"{word}_SSL_Allowed"), row.get(f"{word}_SSL_Verify_Server_Cert"))
        if settings == ("Yes", "Yes"):
            return str(row.get(f"{word}_SSL_CA_File") or "")
    return ""
