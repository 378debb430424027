"""Whoever answers at a peer's address gets neither the password nor the memory."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerdisco.exceptions import ConfigurationError
from peerdisco.mysql.aiomysql import Connection, connect
from peerdisco.mysql.errors import DatabaseError
from peerdisco.mysql.guarded import stays_here
from peerdisco.mysql.setup import Account

from ...mysql.certificates import Authority
from .impostor import EOF_PACKET, OK, SSL, Impostor, SilentOverTls, column, greeting, switch

PASSWORD = "correct-horse-battery-staple-€"
NATIVE = "mysql_native_password"
SHA2 = "caching_sha2_password"
FULL = b"\x01\x04"
DISCLOSING = ["mysql_clear_password", "dialog", "sha256_password", "mysql_old_password", ""]
UNKNOWN = ["client_ed25519", "auth_gssapi_client", "mysql_clear_password\x1b[2J", "x" * 5000]


async def log_in(port: int, **options: object) -> Connection:
    account = Account("somebody", PASSWORD)
    return await connect(account, port=port, timeout=50, **options)  # type: ignore[arg-type]


async def refused(impostor: Impostor, match: str, **options: object) -> DatabaseError:
    async with impostor.listening() as port:
        with pytest.raises(DatabaseError, match=match) as error:
            await log_in(port, **options)
    assert impostor.disclosed(PASSWORD) == []
    assert str(error.value).isprintable()
    return error.value


@pytest.mark.parametrize("plugin", [*DISCLOSING, None])
async def test_a_plugin_of_the_handshake_that_discloses_is_refused(plugin: str | None) -> None:
    impostor = Impostor(greeting(plugin))
    error = await refused(impostor, "authentication plugin")
    assert error.access_denied
    assert not impostor.received


@pytest.mark.parametrize("first", [NATIVE, SHA2, "something_else"])
@pytest.mark.parametrize("plugin", DISCLOSING + UNKNOWN)
async def test_a_switch_to_a_plugin_that_is_not_allowed_is_refused(first: str, plugin: str) -> None:
    impostor = Impostor(greeting(first), [switch(plugin)])
    assert (await refused(impostor, "authentication plugin")).access_denied
    assert len(impostor.packets) == 1


@pytest.mark.parametrize("packet", [b"\xfe", b"\xfe" + b"mysql_native_password"])
async def test_a_switch_of_a_server_before_plugins_is_refused(packet: bytes) -> None:
    """The client would answer the first with the hash of before 4.1, which can be broken."""
    impostor = Impostor(greeting(NATIVE), [packet])
    async with impostor.listening() as port:
        with pytest.raises(DatabaseError):
            await log_in(port)
    assert impostor.disclosed(PASSWORD) == []


@pytest.mark.parametrize("plugin", DISCLOSING)
async def test_a_second_switch_is_refused(plugin: str) -> None:
    for first in (NATIVE, SHA2):
        impostor = Impostor(greeting("something_else"), [switch(first), switch(plugin)])
        await refused(impostor, "authentication plugin")
        assert len(impostor.packets) == 2


@pytest.mark.parametrize("login", [[FULL, b"key"], [switch(SHA2), FULL, b"key"]])
async def test_the_key_of_an_unknown_server_is_not_used(login: list[bytes]) -> None:
    impostor = Impostor(greeting(SHA2), login)
    error = await refused(impostor, "--tls-ca.*--server-public-key")
    assert error.access_denied
    assert len(impostor.packets) == len(login) - 1, "not even its key was asked for"


@pytest.mark.parametrize("first", [NATIVE, SHA2])
@pytest.mark.parametrize("more", [b"\x01\x02", b"\x01", b"\x01\x05", b"key", FULL])
async def test_more_data_that_was_not_asked_for_discloses_nothing(first: str, more: bytes) -> None:
    impostor = Impostor(greeting(first), [more, b"key", FULL, b"key"])
    async with impostor.listening() as port:
        with pytest.raises(DatabaseError):
            await log_in(port)
    assert impostor.disclosed(PASSWORD) == []
    assert len(impostor.packets) == 1


@pytest.mark.parametrize("login", [[FULL], [switch(SHA2), FULL]])
async def test_only_the_key_that_was_configured_is_used(login: list[bytes]) -> None:
    impostor, server = Impostor(greeting(SHA2), login), Impostor(greeting(SHA2), login)
    async with impostor.listening() as port:
        (await log_in(port, server_public_key=server.public_key)).close()
    assert impostor.disclosed(PASSWORD) == []
    async with server.listening() as port:
        (await log_in(port, server_public_key=server.public_key)).close()
    assert server.disclosed(PASSWORD) == ["encrypted with the impostor's key"], "the test can tell"


async def test_the_key_of_the_pods_own_server_is_used_on_loopback() -> None:
    server = Impostor(greeting(SHA2), [FULL, b"key"])
    async with server.listening() as port:
        (await log_in(port, own_server=True)).close()
    assert server.disclosed(PASSWORD) == ["encrypted with the impostor's key"]


@pytest.mark.parametrize(
    ("server", "client", "here"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.5", "127.0.0.1", True),
        ("::1", "::1", True),
        ("10.244.1.7", "10.244.1.7", True),
        ("fd00::7", "fd00::7", True),
        ("10.244.1.7", "10.244.1.8", False),
        ("fe80::7%eth0", "fe80::8%eth0", False),
    ],
)
def test_a_connection_stays_in_the_pod(server: str, client: str, here: bool) -> None:
    assert stays_here(server, client) is here


@pytest.mark.parametrize("plugin", DISCLOSING)
async def test_the_pods_own_server_is_not_sent_the_password_in_clear(plugin: str) -> None:
    await refused(Impostor(greeting(plugin)), "authentication plugin", own_server=True)
    switching = Impostor(greeting(NATIVE), [switch(plugin)])
    await refused(switching, "authentication plugin", own_server=True)


async def test_a_server_without_tls_is_refused_where_tls_is_required() -> None:
    impostor = Impostor(greeting(NATIVE))
    await refused(impostor, "TLS", tls=ssl.create_default_context())
    assert not impostor.received


async def test_a_server_whose_certificate_is_not_verified_gets_nothing() -> None:
    impostor = Impostor(greeting(NATIVE, capabilities=SSL))
    async with impostor.listening() as port:
        with pytest.raises(DatabaseError):
            await connect(
                Account("somebody", PASSWORD),
                port=port,
                timeout=0.5,
                tls=ssl.create_default_context(),
                tls_server_name="db.shop.svc.cluster.local",
            )
    assert b"somebody" not in impostor.received
    assert impostor.disclosed(PASSWORD) == []


async def test_a_tls_context_that_verifies_nothing_is_refused() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ConfigurationError, match="CERT_REQUIRED"):
        await log_in(1, tls=context)


def header(columns: int) -> bytes:
    return bytes([columns]) if columns < 251 else b"\xfc" + columns.to_bytes(2, "little")


def endless(columns: int, value: bytes) -> Iterator[bytes]:
    """A result whose rows do not end."""
    yield header(columns)
    yield from [column()] * columns
    yield EOF_PACKET
    size = len(value)
    row = (bytes([size]) if size < 251 else b"\xfd" + size.to_bytes(3, "little")) + value
    yield from itertools.repeat(row * columns)


def endless_columns(size: bytes) -> Iterator[bytes]:
    yield size
    yield from itertools.repeat(column())


def endless_results() -> Iterator[bytes]:
    """Results of which each says that another one follows."""
    return itertools.repeat(OK[:3] + b"\x08\x00" + OK[5:])


ENDLESS = {
    "rows": lambda: endless(1, b""),
    "rows of many columns": lambda: endless(200, b""),
    "large rows": lambda: endless(1, bytes(100_000)),
    "columns": lambda: endless_columns(b"\xfe" + b"\xff" * 8),
    "columns of three bytes": lambda: endless_columns(b"\xfd\xff\xff\xff"),
    "columns of two bytes": lambda: endless_columns(b"\xfc\xff\xff"),
    "columns NULL": lambda: endless_columns(b"\xfb"),
    "columns, just allowed": lambda: endless_columns(b"\xfc\x00\x01"),
    "one packet": lambda: [b"\x01" + bytes(5 * 2**20)],
    "results": endless_results,
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_response_without_end_is_refused_at_a_bound(kind: str) -> None:
    impostor = Impostor(greeting(NATIVE), respond=ENDLESS[kind])
    held = 0.0

    async def watch() -> None:
        nonlocal held
        while True:
            before = time.thread_time()  # the machine may be busy with other things
            await asyncio.sleep(0)
            held = max(held, time.thread_time() - before)

    async with impostor.listening() as port:
        own = await log_in(port)
        watching = asyncio.create_task(watch())
        if kind != "rows":  # so many packets are slow to trace, and their rows are few bytes
            tracemalloc.start()
        try:
            with pytest.raises(Exception) as error:
                await own.execute("SHOW DATABASES")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            watching.cancel()
        assert own.closed
    assert not isinstance(error.value, TimeoutError)
    assert peak < 64 * 2**20
    assert impostor.sent < 40 * 2**20
    assert held < 0.5, "tracing slows it down; without it, this is some milliseconds"


async def test_a_login_without_end_is_refused_at_a_bound() -> None:
    impostor = Impostor(greeting(NATIVE), [b"\x00" * 0xFFFFFF] * 2)
    await refused(impostor, "bytes")


@pytest.mark.parametrize("version", [b"9.7.4", b"11.8.9-MariaDB-log"])
async def test_a_server_that_greets_and_answers_no_login(version: bytes) -> None:
    hello = greeting(NATIVE).replace(b"8.4.3", version)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(len(hello).to_bytes(3, "little") + b"\0" + hello)
        await reader.read()
        writer.close()
        closed.set()

    closed = asyncio.Event()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DatabaseError, match="it greeted, and did not answer") as error:
            await connect(Account("somebody", PASSWORD), port=port, timeout=0.3)
        await closed.wait()
    assert ("a change of accounts" in error.value.detail) == (version == b"9.7.4")


async def test_a_result_of_ordinary_size_is_read() -> None:
    def rows() -> Iterator[bytes]:
        yield from itertools.islice(endless(2, b"somebody"), 4)
        yield from [b"\x08somebody\x08somebody"] * 20_000
        yield EOF_PACKET

    impostor = Impostor(greeting(NATIVE), respond=rows)
    async with impostor.listening() as port, await log_in(port) as own:
        for _ in range(4):
            assert len(await own.execute("SHOW DATABASES")) == 20_000
        assert not own.closed


ROW = [b"\x01", column(), EOF_PACKET]
MALFORMED = {
    "nothing": [b""],
    "half of a column": [b"\x01", b"\x03"],
    "a column of NULL": [b"\x01", b"\xfb" * 20],
    "a row of 16 EiB": [*ROW, b"\xfe" + b"\xff" * 8 + b"\0"],
    "a row of half a length": [*ROW, b"\xfc"],
    "an empty row": [*ROW, b""],
    "text that is not UTF-8": [*ROW, b"\x02\xff\xfe"],
    "no end of the columns": [b"\x01", column(), b"\x011"],
    "half of an error": [b"\xff"],
    "a request for a file": [b"\xfb/etc/passwd"],
    "a year that is none": [b"\x01", column(kind=13), EOF_PACKET, b"\x03abc"],
    "an integer of 5000 digits": [
        *(b"\x01", column(kind=8), EOF_PACKET, b"\xfc\x88\x13" + b"9" * 5000),
    ],
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_a_malformed_reply_is_an_error_that_says_so(kind: str) -> None:
    """And not what Python raises when it reads it."""
    impostor = Impostor(greeting(NATIVE), respond=lambda: MALFORMED[kind])
    async with impostor.listening() as port:
        own = await log_in(port)
        with pytest.raises(Exception, match=r"2027, .the server sent a") as error:
            await own.execute("SHOW DATABASES")
        assert own.closed
    shown = DatabaseError.of(error.value, "db-1", "listing its schemas")
    assert str(shown).startswith("db-1: listing its schemas: error 2027: the server sent a")
    assert shown.detail.isprintable()
    assert shown.unanswered


@pytest.mark.parametrize(
    "first", [b"", b"\0", b"\x0a", OK, b"\x0a" + b"x" * 3000, greeting(NATIVE)[:20], b"\xff"]
)
async def test_a_malformed_greeting_is_an_error_that_says_so(first: bytes) -> None:
    error = await refused(Impostor(first), "the server sent a malformed reply")
    assert error.unanswered


@pytest.mark.parametrize("packet", [b"", b"\x05", b"\xfb/etc/passwd", switch(NATIVE), b"\x01\x03"])
@pytest.mark.parametrize("before", [[], [switch(NATIVE)]])
async def test_a_login_that_ends_without_ok_is_refused(packet: bytes, before: list[bytes]) -> None:
    if not before and packet == switch(NATIVE):
        before = [packet]  # the first one is answered
    impostor = Impostor(greeting(NATIVE), [*before, packet])
    async with impostor.listening() as port:
        with pytest.raises(DatabaseError):
            await log_in(port)
    assert len(impostor.packets) == len(before) + 1


async def test_a_report_of_progress_leaves_no_reply_for_the_next_statement() -> None:
    progress = b"\xff\xff\xff\x01\x01\x02\0\0\0\x04text"
    impostor = Impostor(greeting(NATIVE), respond=lambda: [progress, OK])
    async with impostor.listening() as port:
        own = await log_in(port)
        with pytest.raises(Exception, match="text"):
            await own.execute("SHOW DATABASES")
        assert own.closed


async def test_a_connection_is_closed_at_once_although_the_server_does_not_end_tls(
    tmp_path: Path,
) -> None:
    """TLS asks the other side to end it, and waits for half a minute."""
    authority = Authority(tmp_path)
    key, certificate = authority.issue("server", "db-1.db")
    silent = SilentOverTls(greeting(NATIVE, capabilities=SSL), certificate, key)
    with silent.listening() as port:
        own = await log_in(
            port,
            tls=ssl.create_default_context(cafile=authority.path),
            tls_server_name="db-1.db",
        )
        client = own._connection._writer.get_extra_info("socket")
        statement = asyncio.create_task(own.execute("SHOW DATABASES"))
        await asyncio.sleep(0)
        statement.cancel()
        await asyncio.wait({statement})
        assert statement.cancelled()
        for _ in range(3):
            await asyncio.sleep(0)
        assert client.fileno() == -1


async def test_an_error_of_a_server_is_escaped_and_shortened() -> None:
    text = "\x1b[2J\x9b31m\u202e\u2028\r\nprimary: db-0\x00\x7f" + "A" * 100_000
    packet = b"\xff\x15\x04#28000" + text.encode()
    impostor = Impostor(greeting(NATIVE), [packet])
    error = await refused(impostor, "Access|primary|x1b")
    assert len(error.detail) <= 500
    assert "\\x1b[2J\\x9b31m" in str(error)
