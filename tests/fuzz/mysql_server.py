"""What a MySQL or MariaDB server sends: its protocol, and the values in its answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Self

from peerdisco.exceptions import DiscoveryError
from peerdisco.mysql.aiomysql import Account, connect
from peerdisco.mysql.facts import ServerFacts, read_facts, read_mark
from peerdisco.mysql.history import compare

from ..mysql.recorded import recorded
from ..unit.mysql.impostor import EOF_PACKET, OK, greeting, switch
from .target import EDGES, Target, change

NAMES = {
    "mariadb": {
        "server_id": "@@server_id",
        "read_only": "@@read_only",
        "log_bin": "@@log_bin",
        "logged": "@@gtid_binlog_state",
        "applied": "@@gtid_slave_pos",
    },
    "mysql": {
        "server_id": "@@server_id",
        "server_uuid": "@@server_uuid",
        "read_only": "@@read_only",
        "super_read_only": "@@super_read_only",
        "log_bin": "@@log_bin",
        "gtid_mode": "@@gtid_mode",
        "owned": "@@gtid_owned",
        "executed": "@@gtid_executed",
        "purged": "@@gtid_purged",
    },
}
"""The columns that are asked for, and what each is called in the recordings."""


def epoch(number: int, position: str) -> dict[str, Any]:
    """A row of the table of epochs."""
    return {
        "number": number,
        "id": f"epoch-{number}",
        "predecessor": f"epoch-{number - 1}" if number > 1 else None,
        "ordinal": 0,
        "server": "100",
        "opened_at": "2026-01-01 00:00:00.123",
        "left_position": position.replace("\n", ""),
        "left_beat": 17,
        "left_beat_at": "2026-01-01 00:00:00.123",
        "log_reset": 0,
    }


def heartbeat(position: str) -> dict[str, Any]:
    """The row of the heartbeat."""
    return {
        "epoch": "epoch-2",
        "counter": 18,
        "beat_at": "2026-01-01 00:00:01.123",
        "position": position.replace("\n", ""),
        "log_number": 7,
    }


@cache
def replies() -> tuple[bytes, ...]:
    """The replies of real servers to the questions of `read_facts`, in each recorded situation."""
    found = []
    for flavour, columns in NAMES.items():
        recording = recorded(flavour)
        for situation, status in recording.replica_status.items():
            variables = recording.variables.get(f"{situation}, replica")
            if variables is None:
                continue
            ours = {name: variables[its] for name, its in columns.items()}
            position = ours.get("executed") or f"{ours.get('logged')}|{ours.get('applied')}"
            document = {
                "SELECT VERSION()": [
                    {
                        "version": variables["VERSION()"],
                        "comment": variables["@@version_comment"],
                    }
                ],
                "SELECT @@global": [ours],
                "SHOW DATABASES": [{"Database": "mysql"}, {"Database": "peerdisco"}],
                "SHOW REPLICA STATUS": [dict(row) for row in status],
                "SELECT id, origin": [{"id": "5f0c2a4e", "origin": "blank"}],
                "SELECT epoch, counter": [heartbeat(position)],
                "SELECT number, id": [epoch(2, position), epoch(1, position)],
                "SHOW GLOBAL STATUS": [{"Variable_name": "f", "Value": "binlog.000007"}],
                "SHOW MASTER STATUS": [{"File": "binlog.000007"}],
                "SHOW BINARY LOG STATUS": [{"File": "binlog.000007"}],
            }
            found.append(json.dumps(document).encode())
    return tuple(found)


def changed_replies(target: Target, seed: int) -> Iterator[bytes]:
    """Recorded replies in which up to four values, columns or rows are not as they should be."""
    chance = random.Random(seed)
    words = [word.decode("latin-1") for word in (*target.words, *EDGES)]
    while True:
        document = json.loads(chance.choice(target.corpus()))
        for _ in range(chance.choice((0, 1, 1, 2, 4))):
            rows = document[chance.choice(sorted(document))]
            row = chance.choice(rows) if rows else {}
            column = chance.choice(sorted(row)) if row else ""
            match chance.randrange(8):
                case 0 if row:
                    del row[column]
                case 1:
                    rows.append(dict(row))
                case 2:
                    rows.clear()
                case 3:
                    row[column] = chance.choice((None, 0, 1, -1, 2**64, 1.5, True))
                case 4:
                    text = str(row.get(column, "")).encode("latin-1", "replace")
                    changed = change(text, (text,), target.words + EDGES, chance)
                    row[column] = changed.decode("latin-1")
                case _:
                    row[column] = chance.choice(words)
        yield json.dumps(document).encode()


class Replying:
    """A connection to a server that gives these replies."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    async def execute(self, sql: str, /) -> Sequence[Mapping[str, Any]]:
        for beginning, rows in self._document.items():
            if sql.startswith(beginning):
                return [row for row in rows if isinstance(row, dict)]
        return []


def result(coroutine: Coroutine[None, None, Any]) -> Any:
    """The result of a coroutine that waits for nothing, but gives others a turn."""
    try:
        while coroutine.send(None) is None:
            pass
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


@cache
def sound_facts() -> tuple[ServerFacts, ...]:
    """The facts in a recorded reply of each family."""
    first_and_last = (replies()[0], replies()[-1])
    return tuple(result(read_facts(Replying(json.loads(r)), "db-0")) for r in first_and_last)


def read_replies(data: bytes) -> bool:
    """Read the facts out of replies whose values are not those of a sound server."""
    try:
        document = json.loads(data)
    except ValueError:
        return False
    if not isinstance(document, dict) or not all(isinstance(v, list) for v in document.values()):
        return False
    server, readings = Replying(document), [read_facts]
    readings += [partial(read_mark, facts=sound) for sound in sound_facts()]
    found = [facts_or_refusal(reading(server, "db-1")) for reading in readings]
    for facts in found:
        if isinstance(facts, str):
            assert "\n" not in facts, "an error on several lines"
        elif isinstance(facts, ServerFacts):
            assert (facts.received is None) == (facts.status is None)
            assert facts.position.beyond(facts.position) == ""
            assert all(compare(facts.recorded, sound.recorded) for sound in sound_facts())
        else:
            assert all(compare(facts, sound.recorded) for sound in sound_facts())
    return not isinstance(found[0], str)


def facts_or_refusal(reading: Coroutine[None, None, Any]) -> Any:
    """What was read, or the text of the error."""
    try:
        return result(reading)
    except DiscoveryError as error:
        return str(error)


def packets(*contents: bytes, first: int = 0) -> bytes:
    """These packets, as a server sends them in one direction."""
    return b"".join(
        len(content).to_bytes(3, "little") + bytes(((first + number) % 256,)) + content
        for number, content in enumerate(contents)
    )


def protocol() -> tuple[bytes, ...]:
    """Everything that a server sends during a login and one statement with a row."""
    column = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\x04\0\0\0\xfd\0\0\0\0\0"
    answer = packets(b"\x01", column, EOF_PACKET, b"\x011", EOF_PACKET, first=1)
    failed = packets(b"\xff\x15\x04#28000Access denied", first=2)
    logins = (
        packets(OK, first=2),
        packets(switch("mysql_native_password"), first=2) + packets(OK, first=4),
        packets(b"\x01\x03", OK, first=2),
    )
    greetings = [
        packets(greeting(plugin))
        for plugin in ("mysql_native_password", "caching_sha2_password", None)
    ]
    ok = packets(OK, first=1)
    return (
        *(hello + login + ok * 2 + answer for hello in greetings for login in logins),
        greetings[0] + failed,
    )


class Server:
    """A server on loopback that sends what it is given and closes the connection."""

    def __init__(self) -> None:
        self.sends = b""
        self.runner = asyncio.Runner()
        self._server: asyncio.Server | None = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.sends)
        with contextlib.suppress(OSError):
            writer.write_eof()
            await reader.read()
        writer.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        self.runner.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self._close())
        self.runner.close()

    async def ask(self) -> bool:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        try:
            async with await connect(Account("app", "secret"), port=port, timeout=5) as connection:
                with contextlib.suppress(Exception):
                    await connection.execute("SELECT 1")
        except DiscoveryError as error:
            refusal = str(error)
        else:
            return True
        assert "\n" not in refusal, "an error on several lines"
        assert "secret" not in refusal, "an error with the password"
        return False


_server = Server()


@contextlib.contextmanager
def serving() -> Iterator[None]:
    global _server
    with Server() as _server:
        yield


def read_protocol(data: bytes) -> bool:
    """Log in to a server that sends these bytes, and execute one statement."""
    _server.sends = data
    return _server.runner.run(asyncio.wait_for(_server.ask(), 10))


REPLIES = Target(
    "mysql-replies",
    replies,
    read_replies,
    (b"Yes", b"No", b"Connecting", b"0-1-2,0-2-3", b"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7"),
    inputs=changed_replies,
)
PROTOCOL = Target(
    "mysql-protocol",
    protocol,
    read_protocol,
    (b"\xfe", b"\xfb", b"\xfc", b"\xfd", b"\xff\xff\xff", b"mysql_clear_password\0"),
    prepared=serving,
)
TARGETS = (REPLIES, PROTOCOL)
