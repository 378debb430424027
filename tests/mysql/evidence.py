"""Whatever a run leaves where others can read it, to be searched for its passwords."""

from __future__ import annotations

import threading
from pathlib import Path

_PAUSE = 0.1


class Evidence:
    """Collects while it runs; `convict` then says where a secret was seen.

    The command lines of all processes are read again and again, for one is seen by anybody who
    runs ``ps``, however short it lives.

    Args:
        secrets: What must not be seen: the part of each password that no escaping changes.
    """

    def __init__(self, secrets: list[str]) -> None:
        self.secrets = secrets
        self.texts: list[tuple[str, str]] = []
        self.command_lines: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="command-lines", daemon=True)
        self._thread.start()

    def add(self, where: str, text: str) -> None:
        self.texts.append((where, text))

    def _watch(self) -> None:
        while not self._stopped.wait(_PAUSE):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue  # it has ended meanwhile
                self.command_lines.add(line.replace(b"\0", b" ").decode("utf-8", "replace"))

    def convict(self) -> list[str]:
        """Stop, and name each place where a secret was seen."""
        self._stopped.set()
        self._thread.join()
        everything = [*self.texts, *(("a command line", line) for line in self.command_lines)]
        return [
            f"{where}: {line}"
            for where, text in everything
            for line in text.splitlines()
            if any(secret in line for secret in self.secrets)
        ]
