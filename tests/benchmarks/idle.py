"""What an idle process costs in an hour: ``python -m tests.benchmarks.idle [SECONDS]``.

Runs ``peerdisco watch`` for so many seconds on a service of three pods that does not change, and
prints the counts of an hour: how often the process was woken, questions, bytes of DNS messages,
seconds of CPU, and its resident memory. An event loop that only sleeps stands beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from peerdisco.names import Endpoint

from .conftest import ROOT, Replaying, running
from .services import Service

WARM_UP = 15.0
HOUR = 3600.0
SLEEPS = "import asyncio; asyncio.run(asyncio.sleep(3600))"


class Used(NamedTuple):
    """What a process used so far."""

    wakeups: int
    cpu: float
    resident: int


def used(process: int) -> Used:
    """The counts of ``/proc``; a wake-up is a switch away from a process that waited."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()

    def number(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    ticks = int(fields[11]) + int(fields[12])
    return Used(
        number("voluntary_ctxt_switches"), ticks / os.sysconf("SC_CLK_TCK"), number("VmRSS") * 1024
    )


def idle(server: Replaying, command: list[str], seconds: float) -> tuple[str, ...]:
    """The counts of a process, as cells of a table."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(WARM_UP)
            server.counts()
            before, start = used(process.pid), time.monotonic()
            time.sleep(seconds)
            after, counted = used(process.pid), server.counts()
            times = HOUR / (time.monotonic() - start)
        finally:
            process.terminate()
    octets = counted["bytes_in"] + counted["bytes_out"]
    return (
        f"{(after.wakeups - before.wakeups) * times:,.0f}",
        f"{counted['questions'] * times:,.0f}",
        f"{octets * times / 1e6:.1f} MB",
        f"{(after.cpu - before.cpu) * times:.1f} s",
        f"{after.resident / 1e6:.1f} MB",
    )


def main(arguments: list[str]) -> None:
    seconds = float(arguments[0]) if arguments else 60.0
    rows = [("", "wake-ups", "questions", "bytes", "CPU", "resident memory"), ("---",) * 6]
    os.chdir(ROOT)
    with running("tests.benchmarks.server") as (port, process):
        server = Replaying(Endpoint("127.0.0.1", port), process)
        watch = ["-m", "peerdisco", "watch", Service(3).fqdn, "--nameserver", str(server.endpoint)]
        rows.append(("`peerdisco watch`", *idle(server, watch, seconds)))
        rows.append(("`asyncio.sleep`", *idle(server, ["-c", SLEEPS], seconds)))
    print("".join(f"| {' | '.join(row)} |\n" for row in rows), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
