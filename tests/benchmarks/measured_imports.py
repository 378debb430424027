"""A command that measures its imports: ``python -m tests.benchmarks.measured_imports COMMAND ...``.

Runs this command of ``peerdisco``. When it has ended, the last line on stdout has, as JSON, the
memory at the start, and for each module, in the order in which their imports ended, its name, the
module that imported it, and the memory that it added, without those that it imported itself.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
"""As in `typing`, which is one of the modules to be measured."""
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

Memory = tuple[int, int]
"""KiB that are resident, and those of them that are in no file: no process shares them."""


def memory(process: int | str = "self") -> Memory:
    """The memory of a process, counted page by page, as ``/proc/self/status`` is not."""
    # pathlib is one of the modules to be measured.
    with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as lines:  # noqa: PTH123
        found = {name: int(size) for name, size, *_ in map(str.split, list(lines)[1:])}
    return found["Rss:"], found["Anonymous:"]


def minus(one: Memory, *others: Memory) -> Memory:
    resident, anonymous = (a - sum(b) for a, *b in zip(one, *others, strict=True))
    return resident, anonymous


class Measured:
    """Finds what the other finders find, and measures what its execution adds."""

    def __init__(self) -> None:
        self.modules: list[tuple[str, str, Memory]] = []
        self._running: list[tuple[str, list[Memory]]] = [("", [])]
        """The modules whose imports have begun, each with what those took that it imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)):
                # The loaders of built-in and frozen modules are classes, and take nothing.
                if hasattr(spec.loader, "exec_module") and not isinstance(spec.loader, type):
                    self._measure(spec)
                return spec
        return None

    def _measure(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        run = loader.exec_module

        def measured(module: ModuleType) -> None:
            importer, others = self._running[-1]
            nested: list[Memory] = []
            self._running.append((spec.name, nested))
            before = memory()
            try:
                run(module)
            finally:
                whole = minus(memory(), before)
                self._running.pop()
                others.append(whole)
                self.modules.append((spec.name, importer, minus(whole, *nested)))

        loader.exec_module = measured


if __name__ == "__main__":
    measured, start = Measured(), memory()
    sys.meta_path.insert(0, measured)
    from peerdisco.cli import main

    status = main()
    import json

    print(json.dumps({"start": start, "modules": measured.modules}))
    sys.exit(status)
