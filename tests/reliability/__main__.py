"""The command: ``python -m tests.reliability [CAMPAIGN...]``; without names, all of them.

It renews the figures of these campaigns in the documentation. All of them take hours.
"""

from __future__ import annotations

import argparse
import sys

from . import report
from .campaigns import CAMPAIGNS, run


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("campaign", nargs="*", choices=[[], *CAMPAIGNS], metavar="CAMPAIGN",
                        help=", ".join(map(repr, CAMPAIGNS)))  # fmt: skip
    names = parser.parse_args(arguments).campaign or list(CAMPAIGNS)
    results = report.results()
    for name in names:
        results[name] = {"command": CAMPAIGNS[name].shown, **run(CAMPAIGNS[name])}
        report.write(results)
    return 0 if all(results[name]["failed"] <= results[name]["allowed"] for name in names) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
