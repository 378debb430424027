"""The campaigns: each is a command of this repository that prints its figures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..fuzz.targets import TARGETS
from ..mutants import AREAS

__all__ = ["CAMPAIGNS", "Campaign", "Figures", "run"]

ROOT = Path(__file__).parents[2]

Figures = Mapping[str, int]
"""``tried``: what was tried; ``failed``: how often a promise did not hold; ``allowed``: how often
that may be."""


@dataclass(frozen=True)
class Campaign:
    """A command, and how to read what it prints.

    Attributes:
        name: In the results and for the command line.
        tries: What it tries, in the plural.
        holds: What must hold for each of them.
        command: The arguments of Python.
        read: The figures in its output; None if they are not there.
    """

    name: str
    tries: str
    holds: str
    command: tuple[str, ...]
    read: Callable[[str], Figures | None]

    @property
    def shown(self) -> str:
        """The command as one types it."""
        return f"python {' '.join(self.command)}"


def _fuzz(output: str) -> Figures | None:
    found = re.findall(r"([\d,]+) inputs, .* (\d+) faults", output)
    if not found:
        return None
    tried = sum(int(inputs.replace(",", "")) for inputs, _ in found)
    return {"tried": tried, "failed": sum(int(faults) for _, faults in found), "allowed": 0}


def _seeds(output: str) -> Figures | None:
    found = re.search(r"(\d+) runs, (\d+) of them break", output)
    return found and {"tried": int(found[1]), "failed": int(found[2]), "allowed": 0}


def _violations(output: str) -> Figures | None:
    found = re.search(r"(\d+) runs, (\d+) violations", output)
    return found and {"tried": int(found[1]), "failed": int(found[2]), "allowed": 0}


def _watchers(output: str) -> Figures | None:
    found = re.search(r"(\d+) watchers, (\d+) false changes, (\d+) not recovered", output)
    return found and {
        "tried": int(found[1]),
        "failed": int(found[2]) + int(found[3]),
        "allowed": 0,
    }


def _states(output: str) -> Figures | None:
    found = re.search(r"(\d+) states: (no fault)?", output)
    return found and {"tried": int(found[1]), "failed": 0 if found[2] else 1, "allowed": 0}


def _events(output: str) -> Figures | None:
    summary = r"([\d,]+) events, .* ([\d,]+) rows .* (\d+) s, (\d+) events an hour: (\d+) faults"
    found = re.search(summary, output)
    if found is None:
        return None
    tried, rows, seconds, hourly, failed = (int(one.replace(",", "")) for one in found.groups())
    return {
        "tried": tried,
        "failed": failed,
        "allowed": 0,
        "rows": rows,
        "seconds": seconds,
        "hourly": hourly,
    }


def _mutants(output: str) -> Figures | None:
    found = re.search(
        r"([\d,]+) of [\d,]+ mutants, (\d+) of them make no difference; (\d+) of", output
    )
    if found is None:
        return None
    tried = int(found[1].replace(",", "")) - int(found[2])
    return {"tried": tried, "failed": int(found[3]), "allowed": tried // 20}


_SAMPLES = dict.fromkeys(("membership", "dns", "mysql"), ("--sample", "150"))
"""The areas whose mutants would take many hours."""

_OTHERS = [name for name in TARGETS if not name.startswith("dns-")]

CAMPAIGNS = {
    campaign.name: campaign
    for campaign in (
        Campaign(
            "dns messages",
            "broken DNS messages",
            "both readers agree, and none takes more than 50 ms",
            ("-m", "tests.fuzz", "dns-readers", "--cases", "10000000"),
            _fuzz,
        ),
        Campaign(
            "dnspython",
            "broken DNS messages, read by dnspython, too",
            "all three readers agree",
            ("-m", "tests.fuzz", "dns-messages", "--cases", "2000000", "--seed", "77"),
            _fuzz,
        ),
        Campaign(
            "other input",
            "broken files, variables, names, arguments and replies of database servers",
            "each is read, or refused with one line that says why",
            ("-m", "tests.fuzz", *_OTHERS, "--seconds", "60"),
            _fuzz,
        ),
        Campaign(
            "clusters",
            "simulated clusters with caches, outages, foreign servers and replicas that lag",
            "no false change, and every true one within its time",
            ("-m", "tests.simulation", "--seeds", "20000"),
            _seeds,
        ),
        Campaign(
            "large services",
            "simulated services of thousands of pods whose answers are cut short and shuffled",
            "no false change, and every true one within its time",
            ("-m", "tests.simulation.large", "--seeds", "20"),
            _violations,
        ),
        Campaign(
            "many watchers",
            "watchers in one process, which loses 30 % of its datagrams and has few descriptors",
            "no false change, and each has a fresh list within a minute afterwards",
            ("-m", "tests.adversaries.many_watchers", "--watchers", "1500", "--seconds", "60"),
            _watchers,
        ),
        Campaign(
            "histories",
            "states of three database servers, reached by every sequence of six events",
            "no ready replica is missing a row of its history, and no two primaries see each other",
            ("-m", "tests.unit.mysql.model", "6"),
            _states,
        ),
        Campaign(
            "database servers",
            "kills, outages, moves, copies and restores on clusters of MariaDB 10.11",
            "every acknowledged row is on every ready server, and all have one history",
            ("-m", "tests.mysql.campaign", "--seconds", "420"),
            _events,
        ),
        *(
            Campaign(
                version,
                f"kills, outages, moves, copies and restores on clusters of {version}",
                "every acknowledged row is on every ready server, and all have one history",
                ("-m", "tests.mysql.campaign", "--server", name, "--seed", seed, "--seconds", time),
                _events,
            )
            for version, name, seed, time in (
                ("MariaDB 11.8", "other-mariadb", "401", "240"),
                ("MySQL 9.7", "mysql", "400", "240"),
            )
        ),
        *(
            Campaign(
                f"mutants: {area}",
                f"changes of the code that decides: {area}",
                "a test fails",
                ("-m", "tests.mutants", area, *_SAMPLES.get(area, ())),
                _mutants,
            )
            for area in AREAS
        ),
    )
}


def run(campaign: Campaign) -> Figures:
    """Run a campaign, and show what it prints.

    Raises:
        RuntimeError: It printed no figures.
    """
    lines = []
    command = [sys.executable, *campaign.command]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    figures = campaign.read("".join(lines))
    if figures is None:
        raise RuntimeError(f"no figures in the output of {campaign.shown}")
    return figures
