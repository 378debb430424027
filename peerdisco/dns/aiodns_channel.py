"""A channel of c-ares: it asks one name server the questions of one call.

It needs aiodns 4 and pycares 5.2.1. Earlier versions do not report the additional section or the
TTL of each record, or refuse compressed SRV targets. With them, the import raises ImportError.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

import aiodns
import pycares

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .cares_messages import Records, least_size, message_of
from .evidence import RECORDS
from .reply import Reply

__all__ = ["Channel"]


def _refuse_too_old(name: str, version: str, least: tuple[int, ...]) -> None:
    if tuple(int(part) for part in version.split(".")[:3] if part.isdigit()) < least:
        raise ImportError(f"{name} {version} is older than {'.'.join(map(str, least))}")


_refuse_too_old("aiodns", aiodns.__version__, (4,))
_refuse_too_old("pycares", pycares.__version__, (5, 2, 1))

_STALLED = 0.1
"""Seconds without any answer over TCP, after which c-ares is made to send what it has not sent.

It sometimes keeps questions that were given to it while it sent others, until it sends the next one
or its timeout of two seconds is over. The time doubles, because the server may just be slow.
"""

_EDNS_PAYLOAD = 1232
"""The size that c-ares offers; it cannot be configured."""

_ABSENCES = {Outcome.NO_DATA: wire.NOERROR, Outcome.NXDOMAIN: wire.NXDOMAIN}

_CODES = {
    pycares.errno.ARES_ENODATA: (Outcome.NO_DATA, ""),
    pycares.errno.ARES_ENOTFOUND: (Outcome.NXDOMAIN, ""),
    pycares.errno.ARES_ESERVFAIL: (Outcome.SERVFAIL, ""),
    pycares.errno.ARES_EREFUSED: (Outcome.REFUSED, ""),
    pycares.errno.ARES_EFORMERR: (Outcome.ERROR, "FORMERR"),
    pycares.errno.ARES_ENOTIMP: (Outcome.ERROR, "NOTIMP"),
    pycares.errno.ARES_ETIMEOUT: (Outcome.TIMEOUT, ""),
    pycares.errno.ARES_EBADRESP: (Outcome.MALFORMED, "c-ares cannot read it"),
    pycares.errno.ARES_ECONNREFUSED: (Outcome.UNREACHABLE, "c-ares cannot contact any server"),
    pycares.errno.ARES_ECANCELLED: (Outcome.UNREACHABLE, "the resolver is closed"),
}
"""The errors of c-ares as outcomes and details; any other is `Outcome.ERROR`."""

_EMPTY_SUCCESS = "a response code that c-ares does not report, or records that it cannot read"
_TRUNCATED_TO_NOTHING = (
    "no data for a name that has only SRV records: the answer was truncated, which c-ares hides"
)


class Channel:
    """One name server, one transport, and a thread of c-ares until `aclose`."""

    def __init__(self, server: Endpoint, way: str, deadline: float) -> None:
        self._server = server
        self._way = way
        self._deadline = deadline
        self._cares: aiodns.DNSResolver | None = None
        self._why_closed = (Outcome.UNREACHABLE, "the resolver is closed")

    def open(self, patience: float | None, tries: int) -> None:
        """Open the channel; if the system refuses, every question fails with the reason."""
        flags = None
        if self._way == "plain":
            flags = 0  # flags replace the defaults, of which EDNS is one
        elif self._way == "tcp":
            flags = pycares.ARES_FLAG_USEVC | pycares.ARES_FLAG_STAYOPEN | pycares.ARES_FLAG_EDNS
        try:
            self._cares = aiodns.DNSResolver(
                nameservers=[_as_cares_writes(self._server)],
                timeout=patience,
                tries=tries,
                flags=flags,
                resolvconf_path=os.devnull,  # else c-ares waits here for a mount that hangs
            )
        except (pycares.AresError, OSError, RuntimeError) as error:
            self._why_closed = (Outcome.UNREACHABLE, f"c-ares does not start: {error}")

    async def aclose(self) -> None:
        """End its questions, its thread and its sockets.

        It waits for nothing, so that it is done on cancellation too.
        """
        cares, self._cares = self._cares, None
        if cares is not None:
            await cares.close()

    async def ask(self, name: bytes, rtype: int) -> Reply:
        now = asyncio.get_running_loop().time
        start = now()
        message: wire.Message | None = None
        transport = "tcp" if self._way == "tcp" else "udp"
        try:
            async with asyncio.timeout_at(self._deadline):
                outcome, detail, message = await self._query(name, rtype)
        except TimeoutError:
            outcome, detail = Outcome.TIMEOUT, ""
        if message is not None and least_size(message) > _EDNS_PAYLOAD:
            transport = "tcp"
        attempt = Attempt(
            server=str(self._server),
            transport=transport,
            name=wire.name_to_text(name) + ".",
            type=wire.TYPE_NAMES[rtype],
            outcome=outcome,
            seconds=now() - start,
            detail=detail,
        )
        return Reply((attempt,), attempt, message)

    async def keep_sending(
        self, questions: Sequence[tuple[bytes, int]], asking: Sequence[asyncio.Task[Reply]]
    ) -> None:
        """Until all are answered, ask one of them again whenever no answer comes for a while.

        c-ares then sends everything that waits to be sent.
        """
        waiting, pause = set(asking), _STALLED
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=pause)
            pause = _STALLED if done else 2 * pause
            if waiting and not done and self._cares is not None:
                pending = next(n for n, task in enumerate(asking) if task in waiting)
                with suppress(pycares.AresError):
                    self._send(*questions[pending]).add_done_callback(_ignore)

    def _send(self, name: bytes, rtype: int) -> asyncio.Future[pycares.DNSResult]:
        """Send a question.

        Raises:
            pycares.AresError: c-ares knows at once that the question fails; where it learns that
                later, the future has a ``DNSError``.
        """
        assert self._cares is not None
        return self._cares.query_dns(wire.name_to_text(name), wire.TYPE_NAMES[rtype])

    async def _query(self, name: bytes, rtype: int) -> tuple[Outcome, str, wire.Message | None]:
        if self._cares is None:
            return (*self._why_closed, None)
        try:
            result = await self._send(name, rtype)
        except (aiodns.error.DNSError, pycares.AresError) as error:
            outcome, detail = _CODES.get(error.args[0], (Outcome.ERROR, str(error.args[-1])))
            if outcome is Outcome.NO_DATA and rtype == wire.SRV and name[1:2] == b"_":
                return Outcome.ERROR, _TRUNCATED_TO_NOTHING, None
            rcode = _ABSENCES.get(outcome)
            return outcome, detail, None if rcode is None else message_of(name, rtype, rcode)
        if not result.answer:
            return Outcome.ERROR, _EMPTY_SUCCESS, None
        records = Records()
        answers = await records.read(result.answer)
        additional = await records.read(result.additional)
        message = message_of(name, rtype, wire.NOERROR, answers, additional)
        kind = RECORDS[rtype]
        found = any(type(record) is kind for record in message.answers)
        return (Outcome.ANSWER if found else Outcome.NO_DATA), "", message


def _ignore(future: asyncio.Future[pycares.DNSResult]) -> None:
    if not future.cancelled():
        future.exception()


def _as_cares_writes(server: Endpoint) -> str:
    """``[ip]:port%interface`` (ares_set_servers_csv(3))."""
    host, scoped, scope = server.address.partition("%")
    return f"{Endpoint(host, server.port)}{scoped}{scope}"
