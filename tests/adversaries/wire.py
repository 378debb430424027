"""Name servers and senders of datagrams that mean ill, or are broken, as scripts.

Each gets the questions of a lookup of the service `SERVICE`. `honest` is the right answer, and
`forged` is one that lists other peers.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from peerdisco.dns import wire
from tests.unit.records import Records, serves
from tests.unit.scripted import LOOPBACK, Asked, NameServer, frame

SERVICE = "db.shop.svc.cluster.local"
TRUTH = {f"db-{n}": f"10.244.0.{n + 3}" for n in range(3)}
LIE = {f"db-{n}": f"10.66.6.{n}" for n in range(9)}

TIMEOUT = 0.4
"""The timeout of a lookup, in seconds."""
LARGEST_DATAGRAM = 65507
MORE = 400
"""How many messages a flood has; the bounds are below it."""


def records(peers: dict[str, str], ttl_owner: str = f"{SERVICE}.") -> Records:
    glue = {name: f"{name}.{SERVICE}. A {address}" for name, address in peers.items()}
    listed = [f"{ttl_owner} SRV 0 50 3306 {name}.{SERVICE}." for name in peers]
    return {
        (ttl_owner, "SRV"): [*listed, *(f"+{line}" for line in glue.values())],
        **{(f"{name}.{SERVICE}.", "A"): [line] for name, line in glue.items()},
        (ttl_owner, "A"): [f"{ttl_owner} A {address}" for address in peers.values()],
    }


def _answer(peers: dict[str, str]) -> Callable[[Asked], bytes]:
    script = serves(records(peers))

    def answer(asked: Asked) -> bytes:
        said: list[bytes] = []
        script(Asked(asked.raw, asked.transport, said.append, asked.hang_up, asked.client))
        return said[0]

    return answer


honest, forged = _answer(TRUTH), _answer(LIE)


Script = Callable[[Asked, NameServer], None]
"""What the server does with a question."""


@dataclass(frozen=True)
class Adversary:
    """A script, and whether the truth comes out in the end."""

    script: Script
    found: bool


ADVERSARIES: dict[str, Adversary] = {}


def adversary(*, found: bool, tcp: bool = False) -> Callable[[Script], Script]:
    """Name a script; with `tcp` it is asked over TCP, because UDP is answered with TC."""

    def named(script: Script) -> Script:
        def over_tcp(asked: Asked, server: NameServer) -> None:
            if asked.transport == "udp":
                asked.send(truncated(asked))
            else:
                script(asked, server)

        ADVERSARIES[script.__name__] = Adversary(over_tcp if tcp else script, found)
        return script

    return named


def end_of_question(asked: Asked) -> int:
    return 12 + len(asked.message.questions[0].name) + 4


def header(asked: Asked, flags: int = 0x8400, *counts: int) -> bytes:
    """The header of a reply, and the question."""
    numbers = (1, *counts, 0, 0, 0)[:4]
    question = asked.raw[12 : end_of_question(asked)]
    return asked.raw[:2] + struct.pack("!5H", flags, *numbers) + question


def truncated(asked: Asked) -> bytes:
    """TC, and no records."""
    return header(asked, 0x8600)


def changed(message: bytes, at: int, to: bytes) -> bytes:
    return message[:at] + to + message[at + len(to) :]


def another_id(message: bytes) -> bytes:
    return changed(message, 0, bytes([message[0] ^ 0xFF]))


def later(seconds: float, send: Callable[[bytes], None], message: bytes) -> None:
    asyncio.get_running_loop().call_later(seconds, send, message)


# When a reply comes, and how often.


@adversary(found=True)
def late(asked: Asked, server: NameServer) -> None:
    later(0.15, asked.send, honest(asked))


@adversary(found=False)
def after_the_timeout(asked: Asked, server: NameServer) -> None:
    later(TIMEOUT + 0.1, asked.send, forged(asked))


@adversary(found=True)
def twice(asked: Asked, server: NameServer) -> None:
    asked.send(honest(asked))
    asked.send(honest(asked))


@adversary(found=True)
def a_forgery_after_the_truth(asked: Asked, server: NameServer) -> None:
    asked.send(honest(asked))
    asked.send(forged(asked))


@adversary(found=False)
def never(asked: Asked, server: NameServer) -> None:
    pass


# Replies to something else. The truth follows.


def stray(change: Callable[[bytes, Asked], bytes]) -> Callable[[Asked, NameServer], None]:
    def script(asked: Asked, server: NameServer) -> None:
        asked.send(change(forged(asked), asked))
        asked.send(honest(asked))

    return script


STRAYS: dict[str, Callable[[bytes, Asked], bytes]] = {
    "another_id": lambda reply, asked: another_id(reply),
    "another_name": lambda reply, asked: reply.replace(b"\2db", b"\2xx"),
    "another_type": lambda reply, asked: changed(reply, end_of_question(asked) - 4, b"\0\x10"),
    "another_class": lambda reply, asked: changed(reply, end_of_question(asked) - 2, b"\0\3"),
    "no_question": lambda reply, asked: changed(reply, 4, b"\0\0"),
    "two_questions": lambda reply, asked: changed(reply, 4, b"\0\2"),
    "the_question_itself": lambda reply, asked: asked.raw,
    "an_update": lambda reply, asked: changed(reply, 2, b"\xac"),
    "one_byte": lambda reply, asked: b"\0",
    "nothing": lambda reply, asked: b"",
    "a_header": lambda reply, asked: reply[:12],
}
BROKEN_REPLIES = ("two_questions", "an_update", "a_header")
"""They are replies with the right number, from the right address, that cannot be read."""
BROKEN_FRAMES = ("one_byte", "nothing")
"""Over TCP nothing separates them from what follows."""

for name, change in STRAYS.items():
    for over_tcp in (False, True):
        stray_ = stray(change)
        stray_.__name__ = f"{name}_before_the_truth{'_over_tcp' * over_tcp}"
        broken = name in BROKEN_REPLIES or (over_tcp and name in BROKEN_FRAMES)
        adversary(found=not broken, tcp=over_tcp)(stray_)


@adversary(found=True)
def another_port(asked: Asked, server: NameServer) -> None:
    if asked.transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind((LOOPBACK, 0))
            forger.sendto(forged(asked), asked.client)
    asked.send(honest(asked))


@adversary(found=True)
def another_address(asked: Asked, server: NameServer) -> None:
    if asked.transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind(("127.0.0.2", server.endpoint.port))
            forger.sendto(forged(asked), asked.client)
    asked.send(honest(asked))


@adversary(found=True)
def every_other_id(asked: Asked, server: NameServer) -> None:
    """A blind forger: many guesses, and then the truth."""
    lie = forged(asked)
    for guess in range(100):
        if guess.to_bytes(2, "big") != asked.raw[:2]:
            asked.send(changed(lie, 0, guess.to_bytes(2, "big")))
    asked.send(honest(asked))


# Streams.


@adversary(found=True, tcp=True)
def byte_by_byte(asked: Asked, server: NameServer) -> None:
    for number, byte in enumerate(frame(honest(asked))):
        later(0.0005 * number, stream(asked, server).write, bytes([byte]))


@adversary(found=True, tcp=True)
def two_in_one_piece(asked: Asked, server: NameServer) -> None:
    stream(asked, server).write(frame(another_id(forged(asked))) + frame(honest(asked)))


@adversary(found=False, tcp=True)
def a_length_and_nothing_more(asked: Asked, server: NameServer) -> None:
    stream(asked, server).write(b"\xff\xff")


@adversary(found=False, tcp=True)
def half_and_nothing_more(asked: Asked, server: NameServer) -> None:
    stream(asked, server).write(frame(forged(asked))[:-20])


@adversary(found=False, tcp=True)
def half_and_closed(asked: Asked, server: NameServer) -> None:
    stream(asked, server).write(frame(forged(asked))[:-20])
    stream(asked, server).close()


@adversary(found=False, tcp=True)
def half_and_reset(asked: Asked, server: NameServer) -> None:
    stream(asked, server).write(frame(forged(asked))[:-20])
    asked.hang_up()


@adversary(found=False, tcp=True)
def reset(asked: Asked, server: NameServer) -> None:
    asked.hang_up()


@adversary(found=False, tcp=True)
def closed(asked: Asked, server: NameServer) -> None:
    stream(asked, server).close()


@adversary(found=False, tcp=True)
def endless_bytes(asked: Asked, server: NameServer) -> None:
    pour(asked, server, bytes(65536))


@adversary(found=False, tcp=True)
def endless_messages(asked: Asked, server: NameServer) -> None:
    pour(asked, server, frame(another_id(forged(asked))))


@adversary(found=False, tcp=True)
def endless_zero_lengths(asked: Asked, server: NameServer) -> None:
    pour(asked, server, b"\0\0" * 130_000)


@adversary(found=True, tcp=True)
def the_truth_without_end(asked: Asked, server: NameServer) -> None:
    pour(asked, server, frame(honest(asked)))


@adversary(found=False, tcp=True)
def forged_answers_to_every_question_before_it_is_asked(asked: Asked, server: NameServer) -> None:
    """Answers with each number, as many as a reader takes; the truth never comes."""
    lies = forged(asked)
    first = int.from_bytes(asked.raw[:2], "big")
    for number in range(1, 2000):
        message = changed(lies, 0, ((first + number) % 65536).to_bytes(2, "big"))
        stream(asked, server).write(frame(message))


def pour(asked: Asked, server: NameServer, data: bytes) -> None:
    """Write for as long as somebody reads."""
    connection = stream(asked, server)

    def more() -> None:
        if not connection.is_closing():
            if connection.get_write_buffer_size() < 1 << 20:
                connection.write(data)
            asyncio.get_running_loop().call_later(0.0005, more)

    more()


def stream(asked: Asked, server: NameServer) -> asyncio.Transport:
    assert asked.connection is not None
    return server.open[asked.connection]


# Floods.


@adversary(found=False)
def a_flood_of_strays(asked: Asked, server: NameServer) -> None:
    lie = another_id(forged(asked))
    for _ in range(MORE):
        asked.send(lie)


@adversary(found=False)
def a_flood_of_long_names(asked: Asked, server: NameServer) -> None:
    send_expensive(asked, 17)


@adversary(found=False, tcp=True)
def a_flood_of_long_names_over_tcp(asked: Asked, server: NameServer) -> None:
    send_expensive(asked, 17)


@adversary(found=False, tcp=True)
def a_flood_of_long_names_in_one_piece(asked: Asked, server: NameServer) -> None:
    """A burst of messages of 64 KB, all of which are there to be read at once."""
    stream(asked, server).write(frame(expensive(asked)) * 17)


def send_expensive(asked: Asked, times: int) -> None:
    message = expensive(asked)
    for _ in range(times):
        asked.send(message)


def expensive(asked: Asked) -> bytes:
    """Thousands of records, each with a pointer into a name of 126 labels."""
    start = end_of_question(asked)
    count = 1 + (LARGEST_DATAGRAM - start - len(SPELLED)) // 16
    return header(asked, 0x8400, count) + SPELLED + pointers(start, count - 1)


ADDRESS = struct.pack("!HHIH4B", wire.A, wire.IN, 5, 4, 10, 66, 6, 6)
SPELLED = b"\1a" * 126 + b"\0" + ADDRESS


@functools.cache
def pointers(start: int, count: int) -> bytes:
    return b"".join(
        struct.pack("!H", 0xC000 | start + 2 * (n % 60 + 1)) + ADDRESS for n in range(count)
    )


# A connection that is kept.


@adversary(found=False, tcp=True)
def the_answer_to_the_question_before(asked: Asked, server: NameServer) -> None:
    """Each question gets the reply that was meant for the one before."""
    before = [other for other in server.asked[:-1] if other.connection == asked.connection]
    asked.send(forged(before[-1]) if before else another_id(forged(asked)))


@adversary(found=False)
def truncated_over_both(asked: Asked, server: NameServer) -> None:
    asked.send(truncated(asked))


@adversary(found=False)
def truncated_with_half_of_the_truth(asked: Asked, server: NameServer) -> None:
    asked.send(changed(honest(asked), 2, b"\x86"))


@adversary(found=False)
def truncated_and_then_refused(asked: Asked, server: NameServer) -> None:
    if asked.transport == "udp":
        asked.send(truncated(asked))
    else:
        asked.send(header(asked, 0x8405))


# Messages that are broken or mean nothing.


def opt(data: bytes = b"", extended: int = 0) -> bytes:
    return b"\0" + struct.pack("!HHIH", wire.OPT, 1232, extended, len(data)) + data


def question_name(asked: Asked) -> bytes:
    return asked.raw[12 : end_of_question(asked) - 4]


def alias(asked: Asked, rtype: int, target: bytes) -> bytes:
    """One record that has the name in the question stand for another."""
    record = struct.pack("!HHIH", rtype, wire.IN, 5, len(target)) + target
    return header(asked, 0x8400, 1) + b"\xc0\x0c" + record


def thousand_aliases(asked: Asked) -> bytes:
    """Each of which leads to the next."""
    names = [b"\xc0\x0c", *(b"\3%03d\xc0\x0c" % n for n in range(1000))]
    records = (
        owner + struct.pack("!HHIH", wire.CNAME, wire.IN, 5, len(target)) + target
        for owner, target in itertools.pairwise(names)
    )
    return header(asked, 0x8400, 1000) + b"".join(records)


BROKEN: dict[str, Callable[[Asked], bytes]] = {
    "a_pointer_to_itself": lambda asked: (
        header(asked, 0x8400, 1) + struct.pack("!H", 0xC000 | end_of_question(asked)) + b"\0" * 10
    ),
    "a_pointer_beyond_the_end": lambda asked: header(asked, 0x8400, 1) + b"\xff\xff" + b"\0" * 10,
    "more_records_than_there_are": lambda asked: changed(forged(asked), 6, b"\xff\xff"),
    "garbage_after_the_question": lambda asked: header(asked, 0x8400, 3) + b"\x99" * 300,
    "a_record_longer_than_the_message": lambda asked: (
        header(asked, 0x8400, 1) + b"\xc0\x0c" + struct.pack("!HHIH", wire.SRV, wire.IN, 5, 9999)
    ),
    "a_reserved_label": lambda asked: header(asked, 0x8400, 1) + b"\x80aa\0" + b"\0" * 10,
    "a_chain_of_pointers": lambda asked: (
        header(asked, 0x8400, 1)
        + b"".join(
            struct.pack("!H", 0xC000 | end_of_question(asked) + max(2 * n - 2, 0))
            for n in range(4000)
        )
    ),
    "two_opt_records": lambda asked: header(asked, 0x8400, 0, 0, 2) + opt() + opt(),
    "thousands_of_edns_options": lambda asked: (
        header(asked, 0x8400, 0, 0, 1) + opt(b"\0\x0a\0\0" * 15_000)
    ),
    "an_edns_version_that_is_none": lambda asked: (
        header(asked, 0x8400, 0, 0, 1) + opt(extended=0x01070000)
    ),
    "aliases_in_a_circle": lambda asked: (
        changed(alias(asked, wire.CNAME, b"\1x\xc0\x0c"), 6, b"\0\2")
        + b"\1x\xc0\x0c"
        + struct.pack("!HHIH", wire.CNAME, wire.IN, 5, 2)
        + b"\xc0\x0c"
    ),
    "a_thousand_aliases": thousand_aliases,
    "a_dname_of_itself": lambda asked: alias(asked, 39, question_name(asked)),
    "servfail": lambda asked: changed(forged(asked), 3, b"\2"),
    "a_code_that_is_none": lambda asked: changed(forged(asked), 3, b"\x0f"),
    "a_referral": lambda asked: header(asked, 0x8000),
    "no_such_name_and_no_zone": lambda asked: header(asked, 0x8403),
}


def says(make: Callable[[Asked], bytes]) -> Callable[[Asked, NameServer], None]:
    return lambda asked, server: asked.send(make(asked))


for name, make in BROKEN.items():
    script = says(make)
    script.__name__ = name
    adversary(found=False)(script)


_turns = itertools.count()


@adversary(found=False)
def another_failure_each_time(asked: Asked, server: NameServer) -> None:
    failures = list(BROKEN.values())
    asked.send(failures[next(_turns) % len(failures)](asked))


# Answers that are well formed, and lie about others.


def lying(lines: Callable[[], Records]) -> Callable[[Asked, NameServer], None]:
    script = serves(lines())
    return lambda asked, server: script(asked)


def hostile_targets() -> Records:
    """Beside the true peers: names outside of the service, and names that are no host names."""
    found = dict(records(TRUTH))
    owner = f"{SERVICE}."
    targets = ["evil.example.", "db-0.web.shop.svc.cluster.local.", "a.b.c.d.", owner, "."]
    targets += [
        f"{label}.{owner}" for label in ("-rf", "db_0", "*", "\\027[2J", "x\\032y", "\\000")
    ]
    found[owner, "SRV"] = [
        *found[owner, "SRV"],
        *(f"{owner} SRV 0 50 3306 {target}" for target in targets),
        "+evil.example. A 10.66.6.6",
    ]
    return found


HOSTILE = {
    "names_that_are_no_peers": hostile_targets,
    "the_answer_of_somebody_else": lambda: records(LIE, "evil.example."),
}
for name, lines in HOSTILE.items():
    script = lying(lines)
    script.__name__ = name
    adversary(found=name == "names_that_are_no_peers")(script)
