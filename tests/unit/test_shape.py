"""The shape of the package: sizes of files and functions, and the imports between its rooms.

``python -m tests.unit.test_shape`` prints the counts.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator

from .test_imports import MODULES, all_imports

LONGEST_FILE = 500
"""Lines of the longest file."""

MEDIAN_FUNCTION = 10
"""The median number of lines of a function is below it."""

MOST_ROOMS = 27
"""Folders and modules at the top of the package: fewer than before they were sorted into rooms."""

MOST_ARROWS = 97
"""Pairs of rooms of which the first imports the second."""

NOT_ROOMS = ("", "__main__")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def file_lengths() -> dict[str, int]:
    return {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}


def body_length(function: Function) -> int:
    """The lines of a function, from ``def`` to its end, without decorators and its docstring."""
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        assert first.end_lineno is not None
        length -= first.end_lineno - first.lineno + 1
    return length


def functions() -> Iterator[tuple[str, int]]:
    """Each function and method with its length."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield f"{module}.{node.name}", body_length(node)


def rooms() -> set[str]:
    return {name.partition(".")[0] for name in MODULES if name not in NOT_ROOMS}


def arrows() -> set[tuple[str, str]]:
    """The imports between rooms, also those within functions, but not those for types alone."""
    pairs = {
        (line.importer.partition(".")[0], line.module.partition(".")[0])
        for line in all_imports()
        if line.own and not line.typing_only
    }
    return {pair for pair in pairs if pair[0] != pair[1] and not {*pair} & {*NOT_ROOMS}}


def test_no_file_is_too_long() -> None:
    assert {name: n for name, n in file_lengths().items() if n > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    assert statistics.median(length for _, length in functions()) < MEDIAN_FUNCTION


def test_there_are_no_more_rooms_and_imports_between_them() -> None:
    assert len(rooms()) <= MOST_ROOMS, sorted(rooms())
    assert len(arrows()) <= MOST_ARROWS, sorted(arrows())


def test_the_docstring_of_a_function_is_not_counted() -> None:
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n').body
    assert isinstance(function, Function)
    assert body_length(function) == 2


def main() -> None:
    lengths = sorted(functions(), key=lambda item: -item[1])
    files = sorted(file_lengths().items(), key=lambda item: -item[1])
    print(f"rooms: {len(rooms())}, imports between them: {len(arrows())}")
    print(f"functions: {len(lengths)}, median {statistics.median(n for _, n in lengths):g} lines")
    print("the longest functions:", ", ".join(f"{name} {n}" for name, n in lengths[:20]))
    print("the longest files:", ", ".join(f"{name} {n}" for name, n in files[:10]))


if __name__ == "__main__":
    main()
