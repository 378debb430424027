"""Commands do not load what they never use; the others, and whoever imports it, have it."""

from __future__ import annotations

import subprocess
import sys

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
