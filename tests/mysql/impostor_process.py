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
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.unit.mysql.impostor import EOF_PACKET, Impostor, column, greeting, switch

NATIVE = "mysql_native_password"


def rows() -> Iterator[bytes]:
    """A result without an end."""
    yield b"\x01"
    yield column()
    yield EOF_PACKET
    yield from itertools.repeat(b"\xfc\xe8\x03" + bytes(1000))


KINDS: dict[str, Callable[[], Impostor]] = {
    "clear": lambda: Impostor(greeting(NATIVE), [switch("mysql_clear_password")]),
    "clear at once": lambda: Impostor(greeting("mysql_clear_password")),
    "dialog": lambda: Impostor(greeting(NATIVE), [switch("dialog")]),
    "its own key": lambda: Impostor(
        greeting(NATIVE), [switch("caching_sha2_password"), b"\x01\x04", b"key"]
    ),
    "nothing but OK": lambda: Impostor(greeting(NATIVE)),
    "endless rows": lambda: Impostor(greeting(NATIVE), respond=rows),
    "a long error": lambda: Impostor(
        greeting(NATIVE), [b"\xff\x15\x04#28000" + b"\x1b[2J" * 10**5]
    ),
    "a huge version": lambda: Impostor(b"\x0a" + b"9" * 2**20 + greeting(NATIVE)[1:]),
    "silence": lambda: Impostor(greeting(NATIVE), respond=list),
}


async def serve(impostor: Impostor, password: str, file: Path) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await impostor._serve(reader, writer)

    async with await asyncio.start_server(count, "0.0.0.0", 3306):
        while True:
            new = file.with_suffix(".new")
            new.write_text(json.dumps([impostor.disclosed(password), connections]))
            new.rename(file)
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(serve(KINDS[sys.argv[1]](), Path(sys.argv[2]).read_text(), Path(sys.argv[3])))
