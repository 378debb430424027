"""Whoever executes the runbooks for MySQL deletes nothing before it is known to be safe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks, pages

from .runbooks import KEEP, LOST, NEW_COPY, PAGE, README, commands, commands_of

EXAMPLES = ROOT / "examples" / "mysql"
PAGES = [*pages(), *sorted(EXAMPLES.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_deleted_before_it_is_known_to_be_safe(page: Path) -> None:
    """A claim is deleted only behind a check, or behind what keeps its volume, that succeeded."""
    for block in blocks(page):
        for command in commands_of(block):
            steps = [step.strip() for step in re.split(r"&&\n", command)]
            for n, step in enumerate(steps):
                destroys = "delete persistentvolumeclaim" in step or "--replicas 0" in step
                before = "\n".join(steps[:n])
                checks = "mysql-source replace" in before or "mysql-recover" in before
                assert not destroys or checks or '"Retain"' in before, f"{block.where}: {step}"
    text = page.read_text(encoding="utf-8")
    for sentence in re.split(r"(?<=[.:])\s", text):
        deletes = re.search(
            r"(?i)\b(?:delete|remove|empty) (?:the|its) (?:claim|volume)\b(?!,)", sentence
        )
        assert not deletes, f"{page}: {sentence}"


def test_the_examples_and_the_guide_have_the_same_commands() -> None:
    copied = commands(README, NEW_COPY)
    assert copied == [*commands(PAGE, NEW_COPY), commands(PAGE, KEEP)[0]]
    assert commands(README, LOST) == commands(PAGE, LOST)[:1]


def test_a_backup_of_mysql_is_replicated_when_it_is_restored() -> None:
    """With other values, mysqldump switches the binary log off."""
    text = (EXAMPLES / "backup/dump-mysql.sh").read_text(encoding="utf-8")
    assert "--set-gtid-purged=OFF" in text
