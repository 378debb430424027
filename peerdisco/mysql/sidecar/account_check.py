"""Whether peers can log in to the pod's own server; a problem is reported, and closes nothing."""

from __future__ import annotations

from collections.abc import Callable

from ...exceptions import ConfigurationError
from ...names import Endpoint
from ..ensure import ensure_account
from ..errors import DatabaseError
from ..facts import Executor, ServerFacts
from ..setup import Account, replication_password
from ..versions import Flavour
from .peers import PeerServers
from .report import Problem, ProblemCode

__all__ = ["AccountCheck"]

_LOGIN_EVERY = 60.0
"""Seconds between two logins with the account of the peers."""

_RETRY_EVERY = 5.0
"""The same while the login fails."""

_CHANGE = {
    Flavour.MARIADB: "SET sql_log_bin = 0; ALTER USER",
    # Its replicas reject changes of accounts otherwise; the sidecar turns it on again.
    Flavour.MYSQL: "SET GLOBAL super_read_only = OFF; SET sql_log_bin = 0; ALTER USER",
}
"""What an administrator executes to change an account of one server."""


class AccountCheck:
    """Logs in to the pod's own server with the replication account, as the peers do.

    The login also fills the server's cache of ``caching_sha2_password``, without which it asks the
    peers for the password itself. A restart and FLUSH PRIVILEGES empty that cache, so the login is
    repeated.

    Args:
        peers: Has the account, and connects.
        name: What to call the pod's own server in an error.
        now: Seconds that only go forward.
    """

    def __init__(self, peers: PeerServers, name: str, now: Callable[[], float]) -> None:
        self._peers = peers
        self._name = name
        self._now = now
        self._due_at = float("-inf")
        self._create_at = float("-inf")
        self._account: Account | None = None
        self._refused = ""
        self.problem: Problem | None = None
        """What was wrong at the last check; None if the login works."""

    def forget(self) -> None:
        """Forget the server: the next connection may be to another one."""
        self._due_at = self._create_at = float("-inf")

    async def check(self, server: Executor, own: ServerFacts, where: Endpoint) -> None:
        """Log in if a login is due, and create the account if that is possible and necessary.

        Args:
            server: A connection to the pod's own server.
            own: Its facts.
            where: Its address, as the peers use it.
        """
        try:
            account = self._peers.account()
            replication_password(own.flavour, account)
        except ConfigurationError as error:
            self._account = None
            self.problem = _problem(str(error))
            return
        if account != self._account:
            self.forget()
        if self._now() < self._due_at:
            return
        self._account = account
        trouble = await self._log_in(server, own, where, account)
        self.problem = None if trouble is None else _problem(trouble)
        self._due_at = self._now() + (_LOGIN_EVERY if trouble is None else _RETRY_EVERY)

    async def _log_in(
        self, server: Executor, own: ServerFacts, where: Endpoint, account: Account
    ) -> str | None:
        """What keeps the peers from logging in; None if nothing does."""
        rejected = await self._rejection(where, account)
        if rejected is None or not rejected.access_denied:
            return None if rejected is None else f"peers cannot log in to this server: {rejected}"
        if self._now() >= self._create_at:
            self._create_at = self._now() + _LOGIN_EVERY
            self._refused = ""
            try:
                await ensure_account(server, self._name, own, account)
            except DatabaseError as error:
                self._refused = f"; the sidecar could not change the account: {error}"
            rejected = await self._rejection(where, account)
            if rejected is None:
                return None
        return (
            f"this server rejects the login of {account.user}, with which the peers log in: "
            f"{rejected}{self._refused}; on this server, give that account the password of the "
            f"Secret ({_CHANGE[own.flavour]}), or correct the Secret; it must not be "
            "locked or expired"
        )

    async def _rejection(self, where: Endpoint, account: Account) -> DatabaseError | None:
        try:
            await self._peers.log_in(where, account)
        except DatabaseError as error:
            return error
        return None


def _problem(detail: str) -> Problem:
    return Problem(ProblemCode.REPLICATION_ACCOUNT, detail)
