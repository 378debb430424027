"""The blocks of the documentation do what the documentation says.

Each page is run from top to bottom against a cluster DNS of its own, whose environment is set:

- ``python`` blocks share a namespace; an ``await`` at the top level works. What a block prints
  must be in an ``output`` block right behind it. Blocks with tests in them go to pytest instead.
- ``console`` blocks: the commands that need nothing but peerdisco are run by a shell, and what is
  shown below them is compared. A block with any other command is only parsed.
- ``<!-- run: ... -->`` changes the cluster (``dns``, ``mysql``) between two blocks. With
  ``when("text", action, ...)`` something is done while the next block runs, as soon as it has
  printed that text after the cue before; the action ``end`` sends SIGTERM to what runs.
- ``yaml``, ``json`` and ``sh`` blocks must be what they say they are.
- ``{code-block} python`` blocks are whole programs with a file name as caption. They are compiled
  and saved for the ``console`` blocks below them; ``tests/servers`` runs those of its page.

After a change to what is printed, ``PEERDISCO_REWRITE_DOCS=1 pytest tests/docs`` rewrites it.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from peerdisco.testing import ClusterDNS, StatefulSet
from tests.docs.markdown import REWRITE, ROOT, Block, blocks, pages

pytestmark = pytest.mark.timeout(60)

NOT_RUN = re.compile(r"\A# not run: \S.*\n")
MOST_NOT_RUN = 1
"""How many Python blocks may be marked as not run: the one that watches the Kubernetes API."""

RUN = {"peerdisco", "peer-finder", "python", "echo", "export", "cat", "if", "for"}
"""What the commands of a ``console`` block begin with if it is to be run."""
LONGEST = 30.0
"""Seconds that a command may run."""
NOT_HERE = {"kubectl", "docker", "pip", "make", "git"}
"""What a ``console`` block may also hold, and is then only shown."""

LANGUAGES = {
    "python", "output", "console", "run", "yaml", "json", "sh", "sql", "text", "dockerfile",
    "{code-block}", "{eval-rst}", "{toctree}", "{literalinclude}", "{include}", "{contents}",
    "{note}", "{warning}",
}  # fmt: skip

PAGES = [
    pytest.param(page, id=str(page.relative_to(ROOT)))
    for page in pages()
    # `tests/package/test_newcomer.py` runs the README, in an environment with nothing else.
    if REWRITE or page.name != "README.md"
]


@pytest.mark.parametrize("page", PAGES)
def test_page(
    page: Path,
    cluster: ClusterDNS,
    mysql: StatefulSet,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    assert_known_languages(found)
    page_run = PageRun(environment, dns=cluster, mysql=mysql)
    try:
        for block, following in itertools.zip_longest(found, found[1:]):
            page_run.run(block, following)
    finally:
        page_run.close()
    if page_run.changes:
        page_run.rewrite(page)


def assert_known_languages(found: list[Block]) -> None:
    for before, block in itertools.pairwise([None, *found]):
        language = block.language.split()[0] if block.language else ""
        assert language in LANGUAGES, f"{block.where}: what is {block.language!r}?"
        if language == "output":
            assert before is not None, block.where
            assert before.language == "python", f"{block.where}: output of what?"


class Cues:
    """What is to be done when the block that runs has printed something."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, tuple[Callable[[], object], ...]]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._heard = ""

    def when(self, text: str, *actions: Callable[[], object]) -> None:
        self.waiting.append((text, actions))

    def end(self) -> None:
        """Send SIGTERM to everything that the shell has started."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGTERM)

    def hear(self, text: str) -> None:
        self._heard += text
        while self.waiting and self.waiting[0][0] in self._heard:
            cue, actions = self.waiting.pop(0)
            self._heard = self._heard.partition(cue)[2]
            for action in actions:
                action()

    def finish(self, where: str) -> None:
        """A block has ended."""
        assert not self.waiting, f"{where}: not printed: {self.waiting[0][0]!r}"
        self._heard = ""


class Printed(io.StringIO):
    """What a Python block prints."""

    def __init__(self, cues: Cues) -> None:
        super().__init__()
        self.cues = cues

    def write(self, text: str) -> int:
        written = super().write(text)
        self.cues.hear(text)
        return written


class PageRun:
    """One page on its way from top to bottom."""

    def __init__(self, environment: dict[str, str], **control: object) -> None:
        self.environment = environment
        self.namespace: dict[str, object] = {"__name__": "__snippet__"}
        self.cues = Cues()
        self.control = {**control, "when": self.cues.when, "end": self.cues.end}
        self.runner = asyncio.Runner()
        self.changes: list[tuple[Block, str]] = []

    def close(self) -> None:
        self.runner.close()

    def run(self, block: Block, following: Block | None) -> None:
        match block.language.split()[0]:
            case "python" if NOT_RUN.match(block.text):
                compile(block.text, block.where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            case "python" if re.search(r"^(async )?def test_", block.text, re.MULTILINE):
                run_with_pytest(block, self.environment)
            case "python":
                printed = self.run_python(block)
                output = following if following and following.language == "output" else None
                if REWRITE and output is not None:
                    self.changes.append((output, normal(printed) + "\n"))
                else:
                    assert normal(printed) == normal(output.text if output else ""), block.where
            case "run":
                exec(block.text, self.control)
            case "console":
                self.run_console(block)
            case "yaml":
                check_yaml(block)
            case "json":
                json.loads(block.text)
            case "sh":
                subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
            case "{code-block}":
                check_program(block)

    def run_python(self, block: Block) -> str:
        code = compile(block.text, block.where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        stdout = Printed(self.cues)
        with contextlib.redirect_stdout(stdout):
            if code.co_flags & inspect.CO_COROUTINE:
                self.runner.run(self.awaiting(code))
            else:
                exec(code, self.namespace)
        self.cues.finish(block.where)
        return stdout.getvalue()

    async def awaiting(self, code: object) -> None:
        await eval(code, self.namespace)  # type: ignore[arg-type]

    def run_console(self, block: Block) -> None:
        commands = shown_commands(block)
        words = {first_word(command) for command, _ in commands}
        assert words <= RUN | NOT_HERE, f"{block.where}: neither run nor known: {words}"
        if words & NOT_HERE or any("--serve" in command for command, _ in commands):
            return
        seen = ""
        for command, shown in commands:
            seen += "$ " + command.replace("\n", "\n> ") + "\n"
            if command.startswith("export "):
                self.export(command)
                continue
            printed = self.run_shell(command)
            seen += normal(printed) + "\n" if printed else ""
            if not REWRITE:
                assert normal(printed) == normal(shown), f"{block.where}: {command}"
        self.cues.finish(block.where)
        if REWRITE:
            self.changes.append((block, seen))

    def run_shell(self, command: str) -> str:
        """What a command prints; while it runs, the cues are followed."""
        printed = b""
        with subprocess.Popen(
            ["sh", "-c", command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            self.cues.process = process
            limit = threading.Timer(LONGEST, os.killpg, (process.pid, signal.SIGKILL))
            limit.start()
            try:
                while chunk := os.read(process.stdout.fileno(), 65536):
                    printed += chunk
                    self.cues.hear(chunk.decode())
                process.wait()
            finally:
                limit.cancel()
        return printed.decode()

    def rewrite(self, page: Path) -> None:
        """Write into the page what was seen."""
        text = page.read_text(encoding="utf-8")
        for block, seen in reversed(self.changes):
            assert text.startswith(block.text, block.start), block.where
            text = text[: block.start] + seen + text[block.start + len(block.text) :]
        page.write_text(text, encoding="utf-8")

    def export(self, command: str) -> None:
        """Set the variables, but for those that say where the DNS is: here it is elsewhere."""
        for setting in shlex.split(command)[1:]:
            name, _, value = setting.partition("=")
            if name != "PEERDISCO_NAMESERVERS":
                self.environment[name] = value


def shown_commands(block: Block) -> list[tuple[str, str]]:
    """Each command after a ``$``, with its continuation lines, and what is shown below it."""
    commands: list[tuple[str, str]] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            commands.append((line[2:].rstrip("\n"), ""))
        elif line.startswith("> "):
            command, shown = commands.pop()
            commands.append((f"{command}\n{line[2:].rstrip()}", shown))
        else:
            assert commands, f"{block.where}: output before the first command"
            command, shown = commands.pop()
            commands.append((command, shown + line))
    return commands


def first_word(command: str) -> str:
    """The command's name, behind the variables that are set for it, or in the one that it sets."""
    word = next(word for word in command.split() if not re.match(r"[A-Z_]+=", word))
    return re.sub(r"^[a-z_]+=\$\(", "", word)


def normal(text: str) -> str:
    """Without what differs from run to run: the DNS server's port, times, pauses with jitter."""
    # On a busy machine any wait may take longer than a second, and then says so.
    text = re.sub(r"^peerdisco: waiting: .*\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:5300", text)
    text = re.sub(r"the host name '[^']*'", "the host name 'build-7'", text)
    text = re.sub(r"(?<!timed out )after \d+\.\d+ s", "after 0.001 s", text)
    text = re.sub(r"retrying in \d+\.\d s", "retrying in 0.8 s", text)
    text = re.sub(r"in \d+\.\d ms", "in 0.5 ms", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-01-01T12:00:00.000Z", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def check_program(block: Block) -> None:
    assert block.language == "{code-block} python", f"{block.where}: what is {block.language!r}?"
    caption, _, program = block.text.partition("\n\n")
    named = re.fullmatch(r":caption: (\w+(\.\w+)*\.py)", caption)
    assert named, f"{block.where}: name the file"
    compile(program, block.where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    Path(named[1]).write_text(program, encoding="utf-8")


def check_yaml(block: Block) -> None:
    if block.text in {path.read_text() for path in (ROOT / "examples").rglob("patch.yaml")}:
        return  # not whole: tests/examples validates what it is merged into
    for document in yaml.safe_load_all(block.text):
        if isinstance(document, dict) and {"apiVersion", "kind", "spec"} <= document.keys():
            kubernetes_validate.validate(document, "1.33", strict=True)


def run_with_pytest(block: Block, environment: dict[str, str]) -> None:
    """A block with tests in it, as a reader would run it: in a file of its own."""
    file = Path(f"test_line_{block.line}.py")
    file.write_text(block.text, encoding="utf-8")
    outside = {k: v for k, v in environment.items() if not k.startswith(("PEERDISCO_", "POD_"))}
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "--quiet",
                "--rootdir",
                ".",
                "-p",
                "no:cacheprovider",
            ),
            *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
            str(file),
        ],
        env=outside,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}:\n{done.stdout}\n{done.stderr}"


def test_hardly_any_python_block_is_left_out() -> None:
    left_out = [
        block.where
        for page in pages()
        for block in blocks(page)
        if block.language == "python" and NOT_RUN.match(block.text)
    ]
    assert len(left_out) <= MOST_NOT_RUN, left_out


def test_links_between_files_lead_somewhere() -> None:
    """Sphinx checks those of docs/; those of the other pages are read on a forge."""
    for page in (*ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
