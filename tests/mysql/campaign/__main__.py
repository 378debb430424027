"""The command: ``python -m tests.mysql.campaign [--server NAME] [--seed N] [--seconds S]``.

It does the events of one seed after the other, each on a new cluster of three pods, and prints
them with what came of them. The status is 1 if something did not hold.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from .plan import DISTURBANCES, Plan, plan
from .run import SERVERS, Result, directory, image, missing, run


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mysql.campaign", description=__doc__)
    parser.add_argument("--server", choices=SERVERS, default="mariadb")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; odd: semi-sync")
    parser.add_argument(
        "--seeds", type=int, help="how many seeds (default: 1 without a limit below)"
    )
    parser.add_argument("--seconds", type=float, help="begin no further seed after this time")
    parser.add_argument(
        "--until-repaired",
        type=int,
        metavar="N",
        help="until the sidecars repaired N positions behind their own logs (MariaDB alone)",
    )
    parser.add_argument("--rounds", type=int, default=24, help="rounds of events for each seed")
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="DIRECTORY",
        default=Path(tempfile.gettempdir()),
        help="where a file about each fault is written",
    )
    parser.add_argument("--only", choices=DISTURBANCES, help="one kind of event, on replicas")
    given = parser.parse_args(arguments)
    if (reason := senseless(given) or missing(given.server)) is not None:
        print(reason, file=sys.stderr)
        return 2
    total, faults = Result(), 0
    with directory() as name:
        begins_with = image(Path(name), given.server)
        for one in seeds(given):
            result = run(one, begins_with)
            report(one, result, given)
            faults += bool(result.fault)
            total.events.update(result.events)
            total.rounds += result.rounds
            total.rows += result.rows
            total.repairs += result.repairs
            total.seconds += result.seconds
            total.spent.update(result.spent)
            if given.until_repaired and total.repairs >= given.until_repaired:
                break
    print(summary(total, faults, given.server), flush=True)
    return 1 if faults else 0


def senseless(given: argparse.Namespace) -> str | None:
    """Why the options would let it run for nothing or without an end; None if they do not."""
    for option in ("seeds", "seconds", "until_repaired", "rounds"):
        value = getattr(given, option)
        if value is not None and value <= 0:
            return f"--{option.replace('_', '-')}: got {value:g}, expected more than 0"
    if given.until_repaired is not None and given.server == "mysql":
        return (
            "--until-repaired: got --server mysql, expected a MariaDB: a MySQL replica stores its "
            "position with its data, so that there is nothing to repair"
        )
    return None


def seeds(given: argparse.Namespace) -> list[Plan] | itertools.takewhile[Plan]:
    """The plans, for as long as there is time."""
    limited = not given.seconds and not given.until_repaired
    count = given.seeds or (1 if limited else sys.maxsize)
    plans = (plan(given.seed + number, given.rounds, given.only) for number in range(count))
    until = time.monotonic() + (given.seconds or float("inf"))
    return itertools.takewhile(lambda _: time.monotonic() < until, plans)


def report(done: Plan, result: Result, given: argparse.Namespace) -> None:
    kind = "semi-sync" if done.semi_sync else "asynchronous"
    print(f"seed {done.seed}, {given.server}, {kind}: {figures(result)}", flush=True)
    if result.fault:
        for number, events in enumerate(done.rounds[: result.rounds + 1], 1):
            print(f"  {number}. {'; '.join(map(str, events))}")
        only = f" --only '{given.only}'" if given.only else ""
        print(
            f"  {result.fault}\n  python -m tests.mysql.campaign --server {given.server} "
            f"--seed {done.seed} --rounds {given.rounds}{only}\n"
            f"  the sessions and threads of each server: {explained(done, result, given)}",
            flush=True,
        )


def explained(done: Plan, result: Result, given: argparse.Namespace) -> Path:
    """The file with what each pod did when the fault was found."""
    given.evidence.mkdir(parents=True, exist_ok=True)
    file: Path = given.evidence / f"campaign-{given.server}-{done.seed}.txt"
    file.write_text(f"{result.fault}\n{result.explanation}\n")
    return file


def figures(result: Result) -> str:
    return (
        f"{result.events.total():,} events, {result.rounds} times at rest, {result.rows:,} rows "
        f"acknowledged, {result.repairs} positions repaired, {result.seconds:.0f} s"
    )


def count_of(total: Result, what: str) -> str:
    return f"{total.events[what]:,} " if what in total.events else ""


def summary(total: Result, faults: int, server: str) -> str:
    kinds = "\n".join(
        f"{seconds:7.0f} s  {count_of(total, what)}{what}"
        for what, seconds in total.spent.most_common()
    )
    hourly = 3600 * total.events.total() / max(total.seconds, 1.0)
    return f"{kinds}\n{server}: {figures(total)}, {hourly:.0f} events an hour: {faults} faults"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
