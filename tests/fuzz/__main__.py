"""The command: ``python -m tests.fuzz [TARGET...] [--cases N | --seconds S] [--atheris]``.

Without targets it takes all of them in turn. Faults are printed with their input, which
``--input`` reads again. The status is 1 if there are any.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .campaign import Result, share
from .target import Target
from .targets import TARGETS


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help=", ".join(TARGETS))
    parser.add_argument("--cases", type=int, default=100_000, help="inputs for each target")
    parser.add_argument("--seconds", type=float, help="seconds for each target, instead")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--input", type=bytes.fromhex, help="read this one, in hexadecimal")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; one target")
    given = parser.parse_args(arguments)
    targets = [TARGETS[name] for name in given.target or TARGETS]
    if given.input is not None:
        return read_one(targets[0], given.input)
    if given.atheris:
        return guided(targets[0], given.seconds)
    failed = False
    for target in targets:
        result = campaign(target, given)
        failed |= bool(result.faults)
        report(target, result)
    return 1 if failed else 0


def campaign(target: Target, given: argparse.Namespace) -> Result:
    """The inputs of one target, shared among the processes."""
    total = Result()
    seeds = range(given.seed * 1000, given.seed * 1000 + given.processes)
    cases = sys.maxsize if given.seconds else -(-given.cases // given.processes)
    deadline = time.monotonic() + given.seconds if given.seconds else float("inf")
    work = [(target.name, seed, cases, deadline) for seed in seeds]
    with ProcessPoolExecutor(given.processes) as processes:
        for result in processes.map(share, work):
            total.add(result)
    return total


def report(target: Target, result: Result) -> None:
    print(
        f"{target.name}: {result.inputs:,} inputs, {result.accepted:,} accepted, "
        f"{result.refused:,} refused, {len(result.faults)} faults; "
        f"the slowest took {result.slowest * 1000:.1f} ms of CPU time",
        flush=True,
    )
    for fault in result.faults.values():
        print(f"  {fault.where}\n  python -m tests.fuzz {target.name} --input {fault.data.hex()}")


def read_one(target: Target, data: bytes) -> int:
    """Read one input, and let an error show its traceback."""
    with target.prepared():
        print("accepted" if target.read(data) else "refused")
    return 0


def guided(target: Target, seconds: float | None) -> int:
    """Let atheris (libFuzzer) choose the inputs by the code that they reach; it never returns."""
    import atheris

    corpus = Path(".fuzz") / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.corpus()):
        (corpus / f"recorded-{number}").write_bytes(data)
    atheris.instrument_all()
    options = [f"-max_total_time={seconds:.0f}"] if seconds else []
    with target.prepared():
        atheris.Setup(
            [sys.argv[0], str(corpus), *options], lambda data: (target.read(data), None)[1]
        )
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
