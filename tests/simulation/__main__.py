"""The command: ``python -m tests.simulation [SEED]``; without a seed it renews the tables."""

from __future__ import annotations

import sys
from dataclasses import replace

from peerdisco.model import Answered, Empty

from . import compare
from .clients import peerdisco
from .verdict import check
from .world import Look, Truth, draw


def show(seed: int) -> None:
    """One run: what there was, what each look came to, what was told, what was wrong with it."""
    setup = draw(seed)
    truth = Truth(setup.events, setup.seconds)
    print(replace(setup, events=()))
    lines: list[tuple[float, str]] = []
    for time, state in zip(truth.times, truth.states, strict=True):
        if time > 0:
            lines.append((time, f"  there are {names(state)}"))

    def looked(time: float, look: Look) -> None:
        words = type(look.observation).__name__
        match look.observation:
            case Answered(peers=peers, ttl=ttl, incomplete_reason=reason):
                words = f"{names(peers)}, TTL {ttl:g}{f', {reason}' if reason else ''}"
            case Empty(ttl=ttl):
                words = f"NXDOMAIN, TTL {ttl:g}"
        lines.append((time, f"      look: {words}"))

    run = peerdisco(setup, truth, looked=looked)
    for told in run.told:
        where = ", ".join(map(str, told.addresses))
        lines.append((told.time, f"          {told.name} {told.action} {where}"))
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
        or "nobody"
    )


def main(arguments: list[str]) -> None:
    if arguments:
        show(int(arguments[0]))
        return
    print(compare.write(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
