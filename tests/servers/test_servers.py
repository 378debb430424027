"""Each section of the page about application servers, on the server that it is about."""

from __future__ import annotations

import ast
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peerdisco.testing import ClusterDNS, StatefulSet
from tests.cli.command import bare_environment

from .page import LIMIT, PAGE, Server, free_port, programs, run, serving

NAMES = ["mysql-0", "mysql-1", "mysql-2"]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def mysql(cluster_dns: ClusterDNS) -> StatefulSet:
    return cluster_dns.statefulset("mysql", service="my-database", replicas=3)


@pytest.fixture
def env(cluster_dns: ClusterDNS, mysql: StatefulSet) -> dict[str, str]:
    variables = {
        **cluster_dns.environment,
        "PEERDISCO_SERVICE": "my-database",
        "PEERDISCO_INTERVAL": "0.05",
        "PYTHONUNBUFFERED": "1",
    }
    return bare_environment(variables)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.02)


def follows(server: Server, port: int, mysql: StatefulSet) -> None:
    """Its workers list the peers, and see one more after a while."""
    assert server.get(port) == {"peers": NAMES, "stale": False}
    mysql.scale(4)
    # Both workers have to see it: ten requests in a row that do.
    until(lambda: all(len(server.get(port)["peers"]) == 4 for _ in range(10)))
    assert not server.get(port)["stale"]


def test_uvicorn(tmp_path: Path, env: dict[str, str], mysql: StatefulSet) -> None:
    port = free_port()
    arguments = ["asgi:app", "--workers", "2", "--port", str(port)]
    with serving(tmp_path, env, "uvicorn", *arguments) as server:
        follows(server, port, mysql)
        server.end()
        log = server.log.read_text()
    assert "Traceback" not in log, log
    assert log.count("Application shutdown complete") == 2, log


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_uvicorn_on_each_loop(
    tmp_path: Path, env: dict[str, str], mysql: StatefulSet, loop: str
) -> None:
    """With so many pods that a TCP connection is kept."""
    mysql.scale(40)
    port = free_port()
    arguments = ["asgi:app", "--loop", loop, "--port", str(port)]
    with serving(tmp_path, env, "uvicorn", *arguments) as server:
        assert len(server.get(port)["peers"]) == 40
        server.end()
        log = server.log.read_text()
    assert "Traceback" not in log, log
    assert "Application shutdown complete" in log


def test_hypercorn(tmp_path: Path, env: dict[str, str], mysql: StatefulSet) -> None:
    port = free_port()
    arguments = ["asgi:app", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    with serving(tmp_path, env, "hypercorn", *arguments) as server:
        follows(server, port, mysql)
        assert server.end() == 0
        log = server.log.read_text()
    assert "Traceback" not in log, log


def test_fastapi(tmp_path: Path, env: dict[str, str], mysql: StatefulSet) -> None:
    port = free_port()
    with serving(tmp_path, env, "uvicorn", "fastapi_app:app", "--port", str(port)) as server:
        follows(server, port, mysql)
        assert server.get(port, "primary") == {"name": "mysql-0", "address": "10.244.0.3"}
        server.end()
        log = server.log.read_text()
    assert "Traceback" not in log, log


def test_aiohttp(tmp_path: Path, env: dict[str, str], mysql: StatefulSet) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp: pip install --group servers")
    port = free_port()
    arguments = ["--hostname", "127.0.0.1", "--port", str(port), "aiohttp_app:make_app"]
    with serving(tmp_path, env, "aiohttp.web", *arguments) as server:
        follows(server, port, mysql)
        server.end()
        log = server.log.read_text()
    assert "Traceback" not in log, log


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["plain", "preload"])
def test_gunicorn(
    tmp_path: Path, env: dict[str, str], mysql: StatefulSet, options: list[str]
) -> None:
    port = free_port()
    arguments = ["wsgi:app", "--workers", "2", "--bind", f"127.0.0.1:{port}", *options]
    with serving(tmp_path, env, "gunicorn", *arguments) as server:
        follows(server, port, mysql)
        assert server.end() == 0
        log = server.log.read_text()
    assert "Traceback" not in log, log


def test_gunicorn_ends_while_a_worker_waits_for_peers(
    tmp_path: Path, env: dict[str, str], mysql: StatefulSet, cluster_dns: ClusterDNS
) -> None:
    """SIGTERM is not lost in the hook of the page."""
    mysql.scale(0)
    arguments = ["wsgi:app", "--workers", "1", "--bind", f"127.0.0.1:{free_port()}"]
    with serving(tmp_path, env, "gunicorn", *arguments) as server:
        until(lambda: bool(cluster_dns.queries))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "Handling signal: term" in server.log.read_text())
        mysql.scale(3)
        assert server.process.wait(10) == 0
        log = server.log.read_text()
    assert "Traceback" not in log, log


PRELOADED = """\
import contextlib, json, wsgi
wsgi.start()  # in the process that is forked: what the page warns of

def app(environ, start_response):
    try:
        wsgi.disco.wait(9, timeout=2)
        error = None
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    start_response("200 OK", [])
    return [json.dumps({"stale": wsgi.disco.snapshot.stale, "error": error}).encode()]
"""


def test_gunicorn_with_a_watcher_from_before_the_fork(tmp_path: Path, env: dict[str, str]) -> None:
    port = free_port()
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    (tmp_path / "empty.py").write_text("")
    arguments = ["preloaded:app", "--preload", "--config", "empty.py"]
    bind = ["--bind", f"127.0.0.1:{port}"]
    with serving(tmp_path, env, "gunicorn", *arguments, *bind) as server:
        said = server.get(port)
        assert said["stale"]
        assert said["error"].startswith("WatcherError: my-database.default.svc.cluster.local: ")
        assert said["error"].endswith(": create a Discovery in each process, after the fork")
        assert server.end() == 0


CELERY_CONFIG = """\
import pathlib
here = pathlib.Path(__file__).parent
broker_url = "filesystem://"
broker_transport_options = {
    name: str(here / "queue") for name in ("data_folder_in", "data_folder_out")
} | {"store_processed": False, "control_folder": str(here / "control")}
result_backend = f"file://{here / 'results'}"
"""
CELERY_CALL = """\
import tasks
print(*tasks.peers.delay().get(timeout=20))
"""


def test_celery(tmp_path: Path, env: dict[str, str]) -> None:
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "celeryconfig.py").write_text(CELERY_CONFIG)
    (tmp_path / "call.py").write_text(CELERY_CALL)
    arguments = ["--app", "tasks", "worker", "--concurrency", "2", "--loglevel", "INFO"]
    with serving(tmp_path, env, "celery", *arguments) as server:
        until(lambda: server.process.poll() is not None or " ready." in server.log.read_text())
        said = run(tmp_path, env, "call.py")
        assert said.split() == NAMES, server.log.read_text()
        server.end()
        log = server.log.read_text()
    assert "Traceback" not in log, log


def test_multiprocessing(tmp_path: Path, env: dict[str, str]) -> None:
    said = run(tmp_path, env, "processes.py").splitlines()
    assert said == [" ".join([how, *NAMES]) for how in ("fork", "forkserver", "spawn")]


def test_trio(tmp_path: Path, env: dict[str, str]) -> None:
    assert run(tmp_path, env, "trio_app.py").split() == NAMES


NOTEBOOK = """\
import asyncio, pathlib, sys
from jupyter_client.manager import start_new_kernel

def execute(code):
    said = []
    def hook(message):
        content = message["content"]
        said.append(content.get("text", "") + content.get("evalue", ""))
    client.execute_interactive(code, timeout=20, output_hook=hook)
    return "".join(said)

manager, client = start_new_kernel(kernel_name="python3")
try:
    print(execute(pathlib.Path("cell.py").read_text()))
    print(execute("peerdisco.sync.discover()"))
    print(execute("peerdisco.sync.Discovery().__enter__()"))
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def test_jupyter(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    names, count, empty, discover, watcher = run(tmp_path, env, "notebook.py").splitlines()
    assert names.split() == NAMES
    assert (count, empty) == ("3", "")
    assert "use: await peerdisco.discover()" in discover
    assert "use: async with peerdisco.Discovery(...)" in watcher


def test_every_section_of_the_page_is_tried() -> None:
    """By a test that is named after it, and every program on the page is Python."""
    page = PAGE.read_text()
    sections = re.findall(r"^## (.+)$", page, re.MULTILINE)[1:]
    words = [word.strip("`").lower() for text in sections for word in text.split(" and ")]
    assert words
    for word in words:
        assert f"test_{word}" in globals(), word
    for name, text in programs().items():
        compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
