"""Every fuzz target, over a fixed number of inputs; and the targets do find faults."""

from __future__ import annotations

import pytest

from peerdisco.pod import hosts_file

from . import text
from .campaign import portions, run
from .target import Target
from .targets import TARGETS

CASES = {"arguments": 300, "dns-messages": 4000, "dns-readers": 4000, "mysql-protocol": 1000}
OTHERS = 3000


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_read_or_refused_as_documented(name: str) -> None:
    target = TARGETS[name]
    with target.prepared():
        (inputs,) = portions(target, 1, CASES.get(name, OTHERS), OTHERS + 1000)
        result = run(target, inputs)
    assert not result.faults, [
        f"{fault.where}: python -m tests.fuzz {name} --input {fault.data.hex()}"
        for fault in result.faults.values()
    ]
    # Both sides of the contract were met, each many times.
    assert result.accepted > len(inputs) / 50
    assert result.refused > len(inputs) / 50 or name == "names"


@pytest.mark.parametrize("name", TARGETS)
def test_the_recorded_inputs_are_accepted(name: str) -> None:
    target = TARGETS[name]
    with target.prepared():
        result = run(target, target.corpus())
    assert not result.faults
    assert result.accepted >= len(target.corpus()) / 2


def test_the_same_seed_gives_the_same_inputs() -> None:
    for target in TARGETS.values():
        first, second = (next(portions(target, 7, 20, 20)) for _ in range(2))
        assert first == second
        assert first != next(portions(target, 8, 20, 20))


def test_a_fault_is_reported_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that forgets that a line may be empty."""
    monkeypatch.setattr(
        hosts_file, "split_words", lambda line: [line.split()[0], *line.split()[1:]]
    )
    inputs = [b"# Kubernetes-managed hosts file.\n\n10.0.0.1 a", text.HOSTS]
    result = run(text.HOSTS_FILES, inputs)
    (fault,) = result.faults.values()
    assert fault.data == inputs[0]
    assert "IndexError" in fault.where


def test_an_input_that_takes_too_long_is_a_fault() -> None:
    def slow(data: bytes) -> bool:
        return len(data) > 5 and sum(range(10_000_000)) > 0

    target = Target("slow", lambda: (b"quick",), slow)
    assert not run(target, target.corpus()).faults
    assert "slow" in run(target, [b"a longer one"]).faults
