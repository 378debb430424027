"""Commands do not load what they never use; the others, and whoever imports it, have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .command import bare_environment


def printed(program: str) -> str:
    """The last line of what this program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50,
        env=bare_environment(),
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


RUN = (
    "import sys; from peerdisco.cli import main; sys.argv[1:] = [{name!r}, "
    "'db.default.svc.cluster.local', '--nameserver', '127.0.0.1:1', '--timeout', '0.5']; "
    "status = main({argv}); "
)


@pytest.mark.parametrize("name", ["peers", "primary", "backup-candidate"])
def test_a_command_without_tls_does_not_load_it(name: str) -> None:
    program = (
        RUN.format(name=name, argv="")
        + "print(status, 'asyncio' in sys.modules, 'ssl' in sys.modules)"
    )
    assert printed(program) == "2 True False"


def test_tls_can_be_imported_afterwards() -> None:
    program = RUN.format(name="peers", argv="") + (
        "import ssl; from urllib.request import HTTPSHandler; print(ssl.create_default_context())"
    )
    assert "SSLContext" in printed(program)


@pytest.mark.parametrize("name", ["mysql-sidecar", "mysql-setup", "doctor"])
def test_a_command_that_may_use_tls_has_it(name: str) -> None:
    program = (
        "from peerdisco.cli import main, _command; main([{0!r}, '--help']); _command({0!r}); "
        "import asyncio; from asyncio import sslproto; print(sslproto.ssl is not None)"
    )
    assert printed(program.format(name)) == "True"


def test_an_application_that_calls_the_command_keeps_its_tls() -> None:
    program = RUN.format(name="peers", argv="sys.argv[1:]") + (
        "import asyncio; from asyncio import sslproto; print(status, sslproto.ssl is not None)"
    )
    assert printed(program) == "2 True"


SIDECAR = (
    "import sys; from peerdisco.cli import main; sys.argv[1:] = ['mysql-sidecar', '--help']; "
    "main({argv}); "
)


def test_the_sidecar_does_not_load_what_encrypts_passwords() -> None:
    program = SIDECAR.format(argv="") + (
        "import peerdisco.mysql.guarded; print('pymysql' in sys.modules, "
        "'cryptography' in sys.modules)"
    )
    assert printed(program) == "True False"


@pytest.mark.parametrize("argv", ["", "sys.argv[1:]"])
def test_the_sidecar_encrypts_a_password_where_a_server_asks_for_it(argv: str) -> None:
    program = SIDECAR.format(argv=argv) + (
        "import asyncio\n"
        "from peerdisco.mysql.aiomysql import connect\n"
        "from peerdisco.mysql.setup import Account\n"
        "from tests.unit.mysql.impostor import Impostor, greeting\n"
        "server = Impostor(greeting('caching_sha2_password'), [b'\\x01\\x04', b'key'])\n"
        "async def log_in():\n"
        "    async with server.listening() as port:\n"
        "        (await connect(Account('a', 'secret'), port=port, own_server=True)).close()\n"
        "asyncio.run(log_in())\n"
        "print(server.disclosed('secret'))"
    )
    assert printed(program) == '["encrypted with the impostor\'s key"]'


RUNNING = (
    "import sys; from peerdisco.cli import main; status = main(); "
    "print(status, *sorted({'ssl', *SELDOM} & set(sys.modules)))"
)
SELDOM = {
    "watch": {"json", "random", "uuid"},
    "mysql-sidecar": {
        *("cryptography", "email", "html", "prometheus_client", "random", "uuid"),
        "peerdisco.mysql.sidecar.status_page",
    },
}
"""Modules that these commands need for some options, some requests or a first start alone."""


def loaded_while_running(command: str, *options: str, until: str) -> list[str]:
    """The exit status of a command that is ended at this text, and which of the modules it has."""
    arguments = [command, "db.default.svc.cluster.local", "--source", "static:db-0=127.0.0.1"]
    program = RUNNING.replace("*SELDOM", f"*{SELDOM[command]}")
    environment = {**bare_environment(), "POD_NAME": "db-0", "POD_NAMESPACE": "default"}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments, *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert any(until in line for line in lines)
        process.terminate()
        return list(lines)[-1].split()


def test_a_quiet_watcher_has_nothing_that_it_does_not_use() -> None:
    assert loaded_while_running("watch", until="db-0") == ["0"]


def test_a_quiet_sidecar_has_nothing_but_tls_that_it_may_not_use(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    options = ["--listen=127.0.0.1:0", f"--socket={tmp_path / 'none'}", "--replicas=1"]
    for option in ("--password-file", "--replication-password-file"):
        options += [option, str(password)]
    found = loaded_while_running("mysql-sidecar", *options, until="no-server")
    assert found == ["0", "ssl"]
