"""The HTTP server of the sidecar under clients that want to keep it busy."""

from __future__ import annotations

import contextlib
import json
import resource
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from peerdisco.mysql.sidecar import http_server
from peerdisco.mysql.sidecar.http_server import MOST_CONNECTIONS, HttpServer, Request, Response
from peerdisco.names import Endpoint

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PROBE_TIMEOUT = 5.0
"""Seconds; an answer takes milliseconds, but the machine may be busy."""


def ok(request: Request) -> Response:
    return Response(f"ok {request.query}".encode())


def broken(request: Request) -> Response:
    raise ValueError("broken")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    routes = {"/healthz": ok, "/broken": broken, "/large": lambda _: Response(b"x" * 10**7)}
    with HttpServer(Endpoint("127.0.0.1", 0), routes, lambda: None) as server:
        yield server


def connect(server: HttpServer) -> socket.socket:
    where = (server.listening.address, server.listening.port)
    return socket.create_connection(where, timeout=PROBE_TIMEOUT)


def exchange(server: HttpServer, request: bytes) -> bytes:
    """The whole response to a request, until the server closes the connection."""
    with connect(server) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def probe(server: HttpServer) -> None:
    assert exchange(server, GET).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET, 200),
        (b"GET /healthz?a=b HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 200),
        (GET + b"GET /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"GET /healthz/ HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET /healthz\r\n\r\n", 400),
        (b"GET http://x/healthz HTTP/1.1\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\xff\x00\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 2000, 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 17_000 + b"\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 1000 + b"\r\n" + GET * 300, 200),
        (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabc", 200),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500),
    ],
)
def test_requests(server: HttpServer, request_: bytes, status: int) -> None:
    head, _, body = exchange(server, request_).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    assert len(body) == (0 if request_.startswith(b"HEAD") else length)


def test_a_client_that_sends_no_more_is_answered(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(GET)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    with connect(server) as client:
        client.sendall(GET[:-2])
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == b""


def test_a_request_in_pieces(server: HttpServer) -> None:
    with connect(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET:
            client.sendall(bytes([byte]))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_slow_clients_are_no_threads_and_probes_are_answered(server: HttpServer) -> None:
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        for number in range(3 * MOST_CONNECTIONS):
            client = stack.enter_context(connect(server))
            if number % 2:
                client.sendall(b"GET /healthz HT")
        for _ in range(5):
            probe(server)
        assert threading.active_count() == threads


def test_a_client_that_reads_nothing_holds_nobody(server: HttpServer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(connect(server))
            client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        probe(server)


def test_a_connection_has_a_deadline_for_the_whole_request(
    monkeypatch: pytest.MonkeyPatch, server: HttpServer
) -> None:
    monkeypatch.setattr(http_server, "DEADLINE", 0.3)
    with connect(server) as client:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + PROBE_TIMEOUT:
                client.sendall(b"x")  # never silent for long
                time.sleep(0.01)
        assert 0.2 < time.monotonic() - began < PROBE_TIMEOUT


def test_clients_that_reset_their_connections_leave_no_trace(
    server: HttpServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for request in (b"", b"GET /healthz HTTP/1.0\r\n", b"GET /large HTTP/1.0\r\n\r\n", GET * 50):
        for _ in range(20):
            client = connect(server)
            client.sendall(request)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    probe(server)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_it_ends_with_connections_open() -> None:
    with contextlib.ExitStack() as stack:
        with HttpServer(Endpoint("127.0.0.1", 0), {"/": ok}, lambda: None) as server:
            clients = [stack.enter_context(connect(server)) for _ in range(10)]
            clients[0].sendall(b"GET")
        with contextlib.suppress(ConnectionError):
            assert clients[0].recv(10) == b""


# In a process of its own, which has few descriptors.

SERVER = """
import json, os, resource, sys, time
from peerdisco.mysql.sidecar.http_server import HttpServer, Response
from peerdisco.names import Endpoint
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
routes = {"/healthz": lambda _: Response(b"ok")}
with HttpServer(Endpoint("127.0.0.1", 0), routes, lambda: None) as server:
    print(server.listening.port, flush=True)
    held = []
    for line in sys.stdin:
        if line == "exhaust\\n":
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                print(error.errno, flush=True)
        elif line == "free\\n":
            while held:
                os.close(held.pop())
            print(0, flush=True)
        else:
            print(json.dumps(time.process_time()), flush=True)
"""


class Remote:
    """Such a process."""

    def __init__(self, descriptors: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(descriptors)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.listening = Endpoint("127.0.0.1", int(self.ask("")))

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if line:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        return self.process.stdout.readline()

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        used: float = json.loads(self.ask("cpu"))
        return used

    def close(self) -> str:
        """End it; what it wrote to stderr."""
        return self.process.communicate(timeout=20)[1]


@pytest.fixture
def remote(request: pytest.FixtureRequest) -> Iterator[Remote]:
    made = Remote(request.param)
    yield made
    assert made.close() == ""


@pytest.mark.parametrize("remote", [64], indirect=True)
def test_without_descriptors_probes_are_answered_and_nothing_spins(remote: Remote) -> None:
    remote.ask("exhaust")
    for _ in range(20):
        probe(remote)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        for _ in range(50):  # more than there are descriptors in reserve
            stack.enter_context(connect(remote))  # type: ignore[arg-type]
        before, began = remote.cpu(), time.monotonic()
        time.sleep(1)
        used = (remote.cpu() - before) / (time.monotonic() - began)
        assert used < 0.2, f"{used:.0%} of a core"
        probe(remote)  # type: ignore[arg-type]
    remote.ask("free")
    probe(remote)  # type: ignore[arg-type]


@pytest.mark.parametrize("remote", [64], indirect=True)
def test_connections_beyond_the_descriptors(remote: Remote) -> None:
    """No other part of the process holds them: each connection costs one."""
    with contextlib.ExitStack() as stack:
        for _ in range(120):
            stack.enter_context(connect(remote))  # type: ignore[arg-type]
        probe(remote)  # type: ignore[arg-type]


@pytest.mark.parametrize("remote", [1024], indirect=True)
def test_thousands_of_connections(remote: Remote) -> None:
    """They are opened without a pause, and never send a whole request."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(4000, hard if hard != resource.RLIM_INFINITY else 4000)
    with contextlib.ExitStack() as stack:
        if soft < wanted + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted + 200, hard), hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(wanted):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((remote.listening.address, remote.listening.port))
            selector.register(client, selectors.EVENT_WRITE)
            if number % 500 == 499:
                probe(remote)  # type: ignore[arg-type]
        probe(remote)  # type: ignore[arg-type]
    assert remote.cpu() < 10
    assert remote.process.poll() is None


def test_the_date_is_written_as_the_standard_library_does() -> None:
    month, day = 31 * 86_400, 86_400
    for at in (0, 7 * day + 3661, *range(1_800_000_000, 1_800_000_000 + 12 * month, month + day)):
        assert http_server._date(at) == formatdate(at, usegmt=True)
