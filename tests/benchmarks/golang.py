"""Go's own resolver as a contender, where there is a Go toolchain.

The program `lookup.go` is built into a folder of the run, and answers one lookup a line.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from peerdisco.names import Endpoint

from .services import Service

VARIABLE = "PEERDISCO_TEST_GO"
NAMED = os.environ.get(VARIABLE)
TOOLCHAIN = shutil.which(NAMED or "go")
SOURCE = Path(__file__).with_name("lookup.go")

WITHOUT = (
    f"this machine has no Go; {VARIABLE}=PATH names the program go of one"
    if NAMED is None
    else f"{VARIABLE}={NAMED} is no program"
)
"""Why there is no contender in Go, if there is none."""


def version() -> str:
    """The toolchain's number, as ``1.25.1``."""
    assert TOOLCHAIN is not None
    said = subprocess.run([TOOLCHAIN, "version"], capture_output=True, text=True, check=True)
    number = re.search(r"go(\d+(\.\d+)+)", said.stdout)
    return number[1] if number else said.stdout.strip()


@cache
def _built() -> tempfile.TemporaryDirectory[str]:
    """The folder with the program, which is removed when this process ends."""
    assert TOOLCHAIN is not None
    folder = tempfile.TemporaryDirectory()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    environment.setdefault("HOME", folder.name)
    subprocess.run(
        [TOOLCHAIN, "build", "-o", Path(folder.name) / "lookup", SOURCE],
        cwd=folder.name,
        env=environment,
        check=True,
    )
    return folder


@asynccontextmanager
async def running(
    service: Service, server: Endpoint, kind: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program, until the block ends."""
    program = Path((await asyncio.to_thread(_built)).name) / "lookup"
    arguments = (str(server), f"{service.fqdn}.", kind)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, *arguments, stdin=pipe, stdout=pipe)
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
