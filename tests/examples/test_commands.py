"""What the examples call is there, and any shell can read it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from peerdisco import cli

from .processes import EXAMPLES


@pytest.mark.parametrize(
    "script",
    [file for file in sorted(EXAMPLES.rglob("*.sh")) if not file.name.startswith("common")],
    ids=lambda script: f"{script.parent.name}/{script.name}",
)
def test_scripts_are_posix_shell(script: Path) -> None:
    assert script.read_text().startswith("#!/bin/sh\n")
    assert os.access(script, os.X_OK)
    for shell in filter(None, map(shutil.which, ("sh", "dash", "bash", "busybox"))):
        command = [shell, "sh", "-n"] if shell.endswith("busybox") else [shell, "-n"]
        subprocess.run([*command, script], check=True, timeout=10)


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(EXAMPLES.rglob("*")) if file.suffix in {".sh", ".md", ".yaml"}],
    ids=lambda file: str(file.relative_to(EXAMPLES)),
)
def test_commands_that_are_named_exist(file: Path) -> None:
    named = re.findall(
        r"(?:^|[$(;] |\$\(|-- )peerdisco ([a-z][-a-z]*)", file.read_text(), re.MULTILINE
    )
    assert set(named) <= set(cli._COMMANDS), file
