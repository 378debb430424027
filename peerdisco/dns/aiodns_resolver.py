"""Questions put to name servers by c-ares, through aiodns; imported only where it is chosen.

Needs aiodns 4 and pycares 5.2.1: earlier ones tell neither the additional section nor each
record's TTL, or refuse SRV targets that are compressed. Importing this module says so.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import aiodns
import pycares

from ..model import Attempt, Outcome
from ..names import Endpoint
from . import wire
from .resolver import Reply

__all__ = ["AiodnsResolver"]


def _refuse_too_old(name: str, version: str, least: tuple[int, ...]) -> None:
    if tuple(int(part) for part in version.split(".")[:3] if part.isdigit()) < least:
        raise ImportError(f"{name} {version} is older than {'.'.join(map(str, least))}")


_refuse_too_old("aiodns", aiodns.__version__, (4,))
_refuse_too_old("pycares", pycares.__version__, (5, 2, 1))

_TRIES = 8
"""So many rounds of the servers, each with doubled patience: the deadline ends the asking.

With fewer, c-ares gives up on a server that was fast and is slow now: it asks anew after a few
times what the last answers took, 250 ms at least.
"""

_AT_ONCE = 64

_EDNS_PAYLOAD = 1232
"""What c-ares offers; it cannot be told otherwise."""

_FULL = 65535 - 1024
"""Records of fewer bytes leave room in a message for the header, the question, an OPT record with
a cookie, and one record more, whatever its names are."""

_QR, _TC = 0x8000, 0x0200

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
"""What c-ares says, as an outcome and its detail; anything else is `Outcome.ERROR`."""

_EMPTY_SUCCESS = "a response code that c-ares does not tell, or no record that it can read"
_CUT_TO_NOTHING = "no data for a name of SRV records alone: the answer was cut, which c-ares hides"
_NO_TRANSPORT = frozenset({Outcome.UNREACHABLE, Outcome.TIMEOUT})


class AiodnsResolver:
    """Asks name servers through c-ares, and gives what it tells the form of `Resolver`'s replies.

    c-ares goes round the servers, asks again and goes to TCP by itself. It heeds the options
    ``timeout`` and ``rotate`` of ``/etc/resolv.conf``, also for other servers than that file's;
    ``use-vc`` comes with the name servers (`Endpoint.tcp`);
    for ``attempts`` stands the deadline.

    c-ares holds answers for their TTL and cannot be told not to, which would hide every change as
    long. So each call of `ask` and `ask_many` opens a channel of its own (a thread and four file
    descriptors) and closes it in the end; nothing is kept in between, and a call that is
    cancelled ends c-ares's questions too.

    What it cannot tell, and what is made of it:

    - Which server answered: an attempt names all of them.
    - The transport: an attempt's is the one that the question went out over first, or ``tcp``
      where the answer is larger than any over UDP.
    - Whether the answer was cut (TC). Over TCP an answer is cut at 65,535 bytes, and glue is left
      out first (RFC 2181, 9). So an answer with glue is whole, and so is one with room for another
      record if every owner's name but the question's, and every target, is counted in full:
      CoreDNS and BIND write no less. Anything else is said to be cut, even if it was not. A server
      that cuts below 64 KiB over TCP is not noticed. One that sends no record of what does not
      fit, as BIND does, has no data; that is an error for ``_port._proto`` names, which exist
      only with their records.
    - How long an absence holds (RFC 2308): there is no SOA.
    - Response codes but the common ones: an empty success is `Outcome.ERROR`. With records in it,
      which no server sends, it is an answer.
    - Where a question fails at several servers, what any but the last one did.

    Where TCP does not work an answer that was cut is no answer: c-ares does not give it.

    It belongs to no event loop. Close it with `aclose`.

    Args:
        nameservers: In order of preference; at least one.
        patience: Seconds to wait for a server the first time round, 0.25 at least; None for what
            ``/etc/resolv.conf`` says (``options timeout:``), else two.
    """

    def __init__(self, nameservers: Sequence[Endpoint], *, patience: float | None = None) -> None:
        if not nameservers:
            raise ValueError("a resolver needs a name server")
        self.nameservers = tuple(nameservers)
        self._patience = patience
        self._channels: set[_Channel] = set()
        self._closed = False

    async def aclose(self) -> None:
        """End what is being asked, without an answer."""
        self._closed = True
        for channel in list(self._channels):
            await channel.aclose()

    def use(self, nameservers: Sequence[Endpoint]) -> None:
        """Ask these from now on; none leaves it with those it has."""
        if nameservers:
            self.nameservers = tuple(nameservers)

    async def ask(self, name: bytes, rtype: int, *, deadline: float, tcp: bool = False) -> Reply:
        """Ask until a server answers, all have failed, or the deadline is reached.

        Args:
            name: In wire form.
            rtype: The record type's number.
            deadline: In the event loop's time.
            tcp: Ask over TCP at once; UDP then serves only where TCP fails.
        """
        return (await self.ask_many([(name, rtype)], deadline=deadline, tcp=tcp))[0]

    async def ask_many(
        self,
        questions: Sequence[tuple[bytes, int]],
        *,
        deadline: float,
        tcp: bool = False,
        at_once: int = _AT_ONCE,
    ) -> list[Reply]:
        """`ask` each of them, so many at a time; the replies stand in the questions' order.

        Over TCP all go through one connection, over UDP through one socket.
        """
        if not (tcp or self.nameservers[0].tcp):
            return await self._ask_over("udp", questions, deadline, at_once)
        now = asyncio.get_running_loop().time()
        replies = await self._ask_over("tcp", questions, now + (deadline - now) / 2, at_once)
        without = [at for at, reply in enumerate(replies) if reply.outcome in _NO_TRANSPORT]
        again = await self._ask_over("udp", [questions[at] for at in without], deadline, at_once)
        for at, reply in zip(without, again, strict=True):
            attempts = (*replies[at].attempts, *reply.attempts)
            replies[at] = Reply(attempts, reply.attempt, reply.message)
        return replies

    async def _ask_over(
        self,
        transport: str,
        questions: Sequence[tuple[bytes, int]],
        deadline: float,
        at_once: int,
    ) -> list[Reply]:
        """Ask these through a channel of their own."""
        if not questions:
            return []
        channel = _Channel(self.nameservers, transport, deadline)
        if not self._closed:
            channel.open(self._patience)
        self._channels.add(channel)
        slots = asyncio.Semaphore(at_once)

        async def one(name: bytes, rtype: int) -> Reply:
            async with slots:
                return await channel.ask(name, rtype)

        try:
            if len(questions) == 1:
                return [await channel.ask(*questions[0])]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*question)) for question in questions]
            return [task.result() for task in tasks]
        finally:
            self._channels.discard(channel)
            await channel.aclose()


class _Channel:
    """One channel of c-ares, for the questions of one call."""

    def __init__(self, nameservers: Sequence[Endpoint], transport: str, deadline: float) -> None:
        self._nameservers = tuple(nameservers)
        self._servers = [str(server) for server in nameservers]
        self._transport = transport
        self._deadline = deadline
        self._cares: aiodns.DNSResolver | None = None
        self._why_closed = (Outcome.UNREACHABLE, "the resolver is closed")

    def open(self, patience: float | None) -> None:
        """Open it; where the system refuses, every question is told so."""
        flags = None
        if self._transport == "tcp":
            # Flags replace the defaults, of which EDNS is one.
            flags = pycares.ARES_FLAG_USEVC | pycares.ARES_FLAG_STAYOPEN | pycares.ARES_FLAG_EDNS
        try:
            self._cares = aiodns.DNSResolver(
                nameservers=[_as_cares_writes(server) for server in self._nameservers],
                timeout=patience,
                tries=_TRIES,
                flags=flags,
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
        transport = self._transport
        try:
            async with asyncio.timeout_at(self._deadline):
                outcome, detail, message = await self._query(name, rtype)
        except TimeoutError:
            outcome, detail = Outcome.TIMEOUT, ""
        if message is not None and _least_size(message) > _EDNS_PAYLOAD:
            transport = "tcp"
        attempt = Attempt(
            server=", ".join(self._servers),
            transport=transport,
            name=wire.name_to_text(name) + ".",
            type=wire.TYPE_NAMES[rtype],
            outcome=outcome,
            seconds=now() - start,
            detail=detail,
        )
        return Reply((attempt,), attempt, message)

    async def _query(self, name: bytes, rtype: int) -> tuple[Outcome, str, wire.Message | None]:
        if self._cares is None:
            return (*self._why_closed, None)
        try:
            result = await self._cares.query_dns(wire.name_to_text(name), wire.TYPE_NAMES[rtype])
        except aiodns.error.DNSError as error:
            outcome, detail = _CODES.get(error.args[0], (Outcome.ERROR, str(error.args[-1])))
            if outcome is Outcome.NO_DATA and rtype == wire.SRV and name[1:2] == b"_":
                return Outcome.ERROR, _CUT_TO_NOTHING, None
            rcode = _ABSENCES.get(outcome)
            return outcome, detail, None if rcode is None else _message(name, rtype, rcode)
        if not result.answer:
            return Outcome.ERROR, _EMPTY_SUCCESS, None
        records = _Records()
        answers = await records.read(result.answer)
        additional = await records.read(result.additional)
        message = _message(name, rtype, wire.NOERROR, answers, additional)
        kind = _KINDS[rtype]
        found = any(type(record) is kind for record in message.answers)
        return (Outcome.ANSWER if found else Outcome.NO_DATA), "", message


def _as_cares_writes(server: Endpoint) -> str:
    """``[ip]:port%interface`` (ares_set_servers_csv(3))."""
    host, scoped, scope = server.address.partition("%")
    return f"{Endpoint(host, server.port)}{scoped}{scope}"


_KINDS: dict[int, type[wire.Record]] = {
    wire.A: wire.Address,
    wire.AAAA: wire.Address,
    wire.SRV: wire.Srv,
    wire.PTR: wire.Pointer,
}


def _message(
    name: bytes,
    rtype: int,
    rcode: int,
    answers: Sequence[wire.Record] = (),
    additional: Sequence[wire.Record] = (),
) -> wire.Message:
    """What the server's message was, as far as c-ares tells; cut if it can have been."""
    message = wire.Message(
        id=0,
        flags=_QR,
        rcode=rcode,
        questions=(wire.Question(name, rtype, wire.IN),),
        answers=list(answers),
        authority=[],
        additional=list(additional),
        edns_payload=None,
    )
    targets = {record.target for record in answers if type(record) is wire.Srv}
    glue = any(record.owner in targets for record in additional)
    if not glue and _largest_size(message) > _FULL:
        message = message._replace(flags=_QR | _TC)
    return message


class _Records:
    """From the records of one answer to those of `wire`; each name is read once."""

    def __init__(self) -> None:
        self._names: dict[str, bytes] = {"": b"\0", ".": b"\0"}

    async def read(self, records: Sequence[pycares.DNSRecord]) -> list[wire.Record]:
        """The records; one that cannot be read keeps its owner, and its type.

        It lets others have the event loop in between.
        """
        read: list[wire.Record] = []
        for start in range(0, len(records), _SLICE):
            if start:
                await asyncio.sleep(0)
            for record in records[start : start + _SLICE]:
                try:
                    read.append(self._read(record))
                except ValueError:  # a name that is no host's
                    read.append(self._opaque(record))
        return read

    def _opaque(self, record: pycares.DNSRecord) -> wire.Record:
        try:
            owner = self._name(record.name)
        except ValueError:
            owner = b"\0"
        return wire.Opaque(owner, record.ttl, record.type, record.record_class, b"")

    def _read(self, record: pycares.DNSRecord) -> wire.Record:
        if record.record_class != wire.IN:
            return self._opaque(record)
        owner, ttl, data = self._name(record.name), record.ttl, record.data
        if isinstance(data, pycares.ARecordData):
            return wire.Address(owner, ttl, socket.inet_pton(socket.AF_INET, data.addr))
        if isinstance(data, pycares.SRVRecordData):
            target = self._name(data.target)
            return wire.Srv(owner, ttl, data.priority, data.weight, data.port, target)
        if isinstance(data, pycares.AAAARecordData):
            return wire.Address(owner, ttl, socket.inet_pton(socket.AF_INET6, data.addr))
        if isinstance(data, pycares.PTRRecordData):
            return wire.Pointer(owner, ttl, self._name(data.dname))
        if isinstance(data, pycares.CNAMERecordData):
            return wire.Alias(owner, ttl, self._name(data.cname))
        return self._opaque(record)

    def _name(self, text: str) -> bytes:
        name = self._names.get(text)
        if name is None:
            # The names of an answer share all but their first label.
            label, _, rest = text.partition(".")
            first = wire.name_from_text(label)[:-1]
            name = first + self._name(rest)
            if len(name) > _LONGEST_NAME:
                raise ValueError(f"a name has at most {_LONGEST_NAME} bytes: {text!r}")
            self._names[text] = name
        return name


_SLICE = 250
"""So many records are read in well under a millisecond."""
_LONGEST_NAME = 255
_FIXED = 10
"""The bytes of a record after its owner's name and before its data (RFC 1035, 4.1.3)."""
_POINTER = 2


def _largest_size(message: wire.Message) -> int:
    """How many bytes the answer section takes if names are written as `AiodnsResolver` says."""
    question = message.questions[0].name
    size = 0
    for record in message.answers:
        size += _FIXED + (_POINTER if record.owner == question else len(record.owner))
        if type(record) is wire.Srv:
            size += 6 + len(record.target)
        elif type(record) is wire.Pointer or type(record) is wire.Alias:
            size += len(record.target)
        elif type(record) is wire.Address:
            size += len(record.packed)
    return size


def _least_size(message: wire.Message) -> int:
    """How many bytes the records take at least, however names are compressed."""
    size = 0
    for record in (*message.answers, *message.additional):
        size += _POINTER + _FIXED
        if type(record) is wire.Srv:
            size += 6 + _POINTER
        elif type(record) is wire.Pointer:
            size += _POINTER
        elif type(record) is wire.Address:
            size += len(record.packed)
    return size
