"""The command: ``python -m tests.simulation [SEED | --seeds N]``.

Without arguments it renews the tables, with a seed it shows that run, and ``--seeds`` checks
what is promised in the runs of the first N seeds.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

from peerdisco.model import Answered, Empty

from . import compare
from .clients import peerdisco
from .verdict import check
from .world import Lookup, Truth, draw


def show(seed: int) -> None:
    """Print a run: the pods, the result of each lookup, the reports and their errors."""
    setup = draw(seed)
    truth = Truth(setup.events, setup.seconds)
    print(replace(setup, events=()))
    lines: list[tuple[float, str]] = []
    for time, state in zip(truth.times, truth.states, strict=True):
        if time > 0:
            lines.append((time, f"  there are {names(state)}"))

    def on_lookup(time: float, lookup: Lookup) -> None:
        words = type(lookup.observation).__name__
        match lookup.observation:
            case Answered(peers=peers, ttl=ttl, incomplete_reason=reason):
                words = f"{names(peers)}, TTL {ttl:g}{f', {reason}' if reason else ''}"
            case Empty(ttl=ttl):
                words = f"NXDOMAIN, TTL {ttl:g}"
        lines.append((time, f"      lookup: {words}"))

    run = peerdisco(setup, truth, on_lookup=on_lookup)
    for report in run.reports:
        where = ", ".join(map(str, report.addresses))
        lines.append((report.time, f"          {report.name} {report.action} {where}"))
    for time, words in sorted(lines, key=lambda line: line[0]):
        print(f"{time:8.2f}{words}")
    for violation in check(run):
        print(violation)


def names(peers: tuple[object, ...]) -> str:
    return (
        ", ".join(
            f"{peer}={'+'.join(map(str, peer.addresses))}"  # type: ignore[attr-defined]
            for peer in peers
        )
        or "no pods"
    )


def check_seeds(count: int) -> int:
    """Check the runs of the first seeds; print what is wrong and how many there were.

    Returns:
        The exit status: 1 if something that is promised does not hold.
    """
    broken: set[int] = set()
    kinds: Counter[str] = Counter()
    for seed in range(count):
        setup = draw(seed)
        kinds.update({trouble.kind for trouble in setup.troubles})
        kinds.update({f"serve_stale {setup.serve_stale}"} if setup.cached else ())
        for violation in check(peerdisco(setup, Truth(setup.events, setup.seconds))):
            broken.add(seed)
            print(violation, flush=True)
    shares = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
    print(f"{count} runs, {len(broken)} of them break what is promised; with {shares}")
    return 1 if broken else 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--seeds", count]:
            return check_seeds(int(count))
        case [seed]:
            show(int(seed))
        case _:
            print(compare.write(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
