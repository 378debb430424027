"""Passwords of any characters: what is sent for them, and that no part of one is shown.

A server that checks passwords as MySQL and MariaDB do, byte by byte of the protocol: what
``IDENTIFIED BY`` was given is hashed as it came, in UTF-8.
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql.aiomysql import connect
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.literals import literal
from peerdisco.mysql.setup import Account, accounts_sql, replication_password
from peerdisco.mysql.versions import Flavour

SALT = b"abcdefghijklmnopqrst"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
PASSWORDS = {
    "ASCII": "q\\{7'x\"`$%s%%{y}; --",
    "Latin": "päss-wörd-ß",
    "beyond Latin": "€-密码-ł",
    "beyond U+FFFF": "a🔑b",
    "Latin-1 of UTF-8": "â\x82¬",
}


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def native(password: bytes, salt: bytes) -> bytes:
    """mysql_native_password."""
    stage1 = hashlib.sha1(password).digest()
    stage2 = hashlib.sha1(stage1).digest()
    return xor(stage1, hashlib.sha1(salt + stage2).digest())


def sha2(password: bytes, salt: bytes) -> bytes:
    """caching_sha2_password, where the server has it in its cache."""
    stage1 = hashlib.sha256(password).digest()
    stage2 = hashlib.sha256(stage1).digest()
    return xor(stage1, hashlib.sha256(stage2 + salt).digest())


PLUGINS = {"mysql_native_password": native, "caching_sha2_password": sha2}


class Server:
    """Lets in whoever has the password, and answers every statement with OK."""

    def __init__(self, password: str, plugin: str, *, switches: bool) -> None:
        hashed = PLUGINS[plugin]
        # aiomysql hashes the NUL that ends the salt of a switch, too. MySQL then falls back to
        # full authentication; this server has none, and accepts the hash.
        salts = [SALT, SALT + b"\0"] if switches else [SALT]
        self.expected = [hashed(password.encode(), salt) for salt in salts]
        self.plugin = plugin.encode()
        self.switches = switches
        self.port = 0

    def greeting(self) -> bytes:
        capabilities = 0x000FA205 | 0x00080000
        named = b"mysql_old_thing" if self.switches else self.plugin
        return (
            b"\x0a8.4.3\0"
            + struct.pack("<I", 7)
            + SALT[:8]
            + b"\0"
            + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, capabilities >> 16)
            + bytes([21])
            + bytes(10)
            + SALT[8:]
            + b"\0"
            + named
            + b"\0"
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def receive() -> tuple[int, bytes]:
            head = await reader.readexactly(4)
            return head[3], await reader.readexactly(int.from_bytes(head[:3], "little"))

        def send(number: int, packet: bytes) -> None:
            writer.write(len(packet).to_bytes(3, "little") + bytes([number]) + packet)

        try:
            send(0, self.greeting())
            number, response = await receive()
            scramble = response[32:].partition(b"\0")[2]
            scramble = scramble[1 : 1 + scramble[0]]
            if self.switches:
                send(number + 1, b"\xfe" + self.plugin + b"\0" + SALT + b"\0")
                number, scramble = await receive()
            if scramble not in self.expected:
                send(number + 1, b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied")
                return
            if self.plugin == b"caching_sha2_password":
                send(number + 1, b"\x01\x03")
                number += 1
            send(number + 1, OK)
            while True:
                number, statement = await receive()
                if statement[:1] == b"\x01":
                    return
                send(number + 1, OK)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(password: str, plugin: str, *, switches: bool) -> AsyncIterator[int]:
    server = Server(password, plugin, switches=switches)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.parametrize("switches", [False, True], ids=["at once", "after a switch"])
@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
async def test_a_password_is_sent_as_its_utf8(password: str, plugin: str, switches: bool) -> None:
    async with (
        serving(password, plugin, switches=switches) as port,
        await connect(Account("somebody", password), port=port, timeout=20) as own,
    ):
        assert await own.execute("SET @a = 1") == []


@pytest.mark.parametrize("plugin", PLUGINS)
async def test_another_password_is_refused_and_not_shown(plugin: str) -> None:
    secret = "€-密码"
    async with serving("päss", plugin, switches=False) as port:
        with pytest.raises(DatabaseError) as error:
            await connect(Account("somebody", secret), port=port, timeout=20)
    assert error.value.access_denied
    shows_nothing_of(secret, error.value)


def shows_nothing_of(secret: str, error: BaseException, least: int = 2) -> None:
    """Neither the error nor its traceback, with all that led to it, has a part of the secret."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.args)
    for start in range(len(secret) - least + 1):
        part = secret[start : start + least]
        if not part.isascii():
            assert part not in shown
    assert secret not in shown


@pytest.mark.parametrize("secret", ["päss\udcff-€", "\udcff€€€", "€€\0€€"])
def test_what_is_no_password_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="the password of 'somebody'") as error:
        Account("somebody", secret)
    shows_nothing_of(secret, error.value)
    assert "€" not in str(error.value)


def test_an_account_is_not_shown() -> None:
    account = Account("somebody", "€-密码")
    assert "€" not in f"{account!r} {account}"


def test_a_user_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="user"):
        Account("somebody\udcff", "secret")


@pytest.mark.parametrize("flavour", Flavour)
@pytest.mark.parametrize(
    ("secret", "given"),
    [
        ("€€\n€€", "a line break"),
        ("€€\n", "a line break"),
        ("€🔑€", "beyond U[+]FFFF"),
        ("€" * 33, "99 bytes"),
    ],
)
def test_what_no_replica_can_log_in_with_is_refused(
    flavour: Flavour, secret: str, given: str
) -> None:
    account = Account("repl", secret)
    with pytest.raises(ConfigurationError, match=given) as error:
        replication_password(flavour, account)
    assert "€" not in str(error.value)
    with pytest.raises(ConfigurationError, match=given):
        accounts_sql(flavour, replication=account)


@pytest.mark.parametrize("secret", ["päss", "€-密码-ł", "it's \\ 100%"])
def test_what_a_replica_can_log_in_with_is_taken(secret: str) -> None:
    assert replication_password(Flavour.MYSQL, Account("repl", secret)) == secret


SECRET = "wörd'密码\\x-7"
HEX = "w\\xC3\\xB6rd'\\xE5\\xAF\\x86\\xE7\\xA0\\x81\\x-7"


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_no_part_of_a_password_is_in_a_servers_error(data: st.DataObject) -> None:
    form = data.draw(
        st.sampled_from([SECRET, literal(SECRET)[1:-1], SECRET.encode().decode("latin-1"), HEX])
    )
    start = data.draw(st.integers(0, len(form) - 3))
    end = data.draw(st.integers(start + 3, len(form)))
    quoted = form[start:end]
    error = DatabaseError.of(
        Exception(1064, f"You have an error near '{quoted}' at line 1"),
        "db-0",
        "setting the source",
        [SECRET],
    )
    assert quoted not in str(error)
    assert error.detail.startswith("You have an error near ")
    assert error.detail.endswith(" at line 1")
    assert "***" in error.detail
