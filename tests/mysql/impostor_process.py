"""Somebody who answers at a server's address and wants its password, or its memory.

``python -m tests.mysql.impostor_process KIND PASSWORD FILE`` listens on port 3306 of all addresses.
PASSWORD is a file with the password, and FILE gets, again and again, what of it was disclosed, and
how many connections there were, as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.mysql.impostor import EOF_PACKET, Impostor, column, greeting, switch

NATIVE, SHA2 = "mysql_native_password", "caching_sha2_password"
DISCLOSING = ("mysql_clear_password", "dialog", "sha256_password", "mysql_old_password", "")


def rows() -> Iterator[bytes]:
    """A result without an end."""
    yield b"\x01"
    yield column()
    yield EOF_PACKET
    yield from itertools.repeat(b"\xfc\xe8\x03" + bytes(1000))


def logins() -> list[Impostor]:
    """Every plugin that discloses, in every phase of a login, and its own key."""
    impostor = partial(Impostor, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return [
        *(impostor(greeting(plugin)) for plugin in (*DISCLOSING, None)),
        *(impostor(greeting(NATIVE), [switch(plugin)]) for plugin in DISCLOSING),
        *(impostor(greeting("x"), [switch(SHA2), switch(plugin)]) for plugin in DISCLOSING),
        impostor(greeting(SHA2), [b"\x01\x04", b"key"]),
        impostor(greeting(NATIVE), [switch(SHA2), b"\x01\x04", b"key"]),
        impostor(greeting(NATIVE), [b"\xfe"]),
        impostor(greeting(NATIVE), [b"\xff\x15\x04#28000" + b"\x1b[2J" * 10**5]),
        impostor(b"\x0a" + b"9" * 2**20 + greeting(NATIVE)[1:]),
    ]


LOGINS = len(logins())
"""How many connections see all of them."""

KINDS: dict[str, Callable[[], list[Impostor]]] = {
    "clear": lambda: [Impostor(greeting(NATIVE), [switch("mysql_clear_password")])],
    "its own key": lambda: [Impostor(greeting(NATIVE), [switch(SHA2), b"\x01\x04", b"key"])],
    "every login": logins,
    "nothing but OK": lambda: [Impostor(greeting(NATIVE))],
    "endless rows": lambda: [Impostor(greeting(NATIVE), respond=rows)],
}


async def serve(impostors: Sequence[Impostor], password: str, file: Path) -> None:
    """Each connection is that of the next impostor."""
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await impostors[(connections - 1) % len(impostors)]._serve(reader, writer)

    async with await asyncio.start_server(count, "0.0.0.0", 3306):
        while True:
            new = file.with_suffix(".new")
            disclosed = [way for impostor in impostors for way in impostor.disclosed(password)]
            new.write_text(json.dumps([disclosed, connections]))
            new.rename(file)
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(serve(KINDS[sys.argv[1]](), Path(sys.argv[2]).read_text(), Path(sys.argv[3])))
