"""What idle processes cost in an hour: ``python -m tests.benchmarks.idle [SECONDS]``.

Runs ``peerdisco watch`` for so many seconds on a service of three pods that does not change, and
prints the counts of an hour: how often the process was woken, questions, bytes of DNS messages,
seconds of CPU, and its resident memory. Event loops that only sleep stand beside it: what no
program on asyncio can be below.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from peerdisco.names import Endpoint

from . import network, peer_finder, report
from .conftest import ROOT, Replaying, running
from .services import Service

WARM_UP = 15.0
HOUR = 3600.0
WATCH = "`peerdisco watch`"
SLEEP = "import asyncio; asyncio.run(asyncio.sleep(3600))"
SLEEPS = {
    "`asyncio.sleep`": SLEEP,
    "`asyncio.sleep`, without TLS": f"import sys; sys.modules['ssl'] = None; {SLEEP}",
    "`time.sleep`": "import time; time.sleep(3600)",
}


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


@contextmanager
def idle(
    server: Replaying, peer_finders: Replaying | None = None
) -> Iterator[dict[str, tuple[int, Replaying | None]]]:
    """The watchers and the processes that sleep, which run meanwhile: their ids and servers.

    Args:
        server: What `peerdisco watch` queries.
        peer_finders: What Go's peer-finder queries; it is left out if there is none.
    """
    watch = ["-m", "peerdisco", "watch", Service(3).fqdn, "--nameserver", str(server.endpoint)]
    sleeps = {who: ["-c", program] for who, program in SLEEPS.items()}
    commands: dict[str, tuple[Sequence[str], Replaying | None]] = {
        WATCH: ([sys.executable, *watch], server),
        **{who: ([sys.executable, *sleep], None) for who, sleep in sleeps.items()},
    }
    if peer_finders is not None:
        network.ask(peer_finders.endpoint.address)
        commands[peer_finder.WHO] = (peer_finder.command(Service(3).fqdn), peer_finders)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        found: dict[str, tuple[int, Replaying | None]] = {}
        for who, (command, asked) in commands.items():
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, **quiet))
            stack.callback(process.terminate)
            found[who] = (process.pid, asked)
        yield found


def count(
    processes: Mapping[str, tuple[int, Replaying | None]], seconds: float
) -> list[dict[str, Any]]:
    """What an hour costs, of each of these processes, with the questions to its server."""
    time.sleep(WARM_UP)
    servers = [server for _, server in processes.values() if server is not None]
    for server in servers:
        server.counts()
    before, start = {who: used(number) for who, (number, _) in processes.items()}, time.monotonic()
    time.sleep(seconds)
    asked, times = [server.counts() for server in servers], HOUR / (time.monotonic() - start)
    rows: list[dict[str, Any]] = []
    for who, (number, server) in processes.items():
        now, then = used(number), before[who]
        rows.append(
            {
                "who": who,
                "wakeups": (now.wakeups - then.wakeups) * times,
                "cpu": (now.cpu - then.cpu) * times,
                "resident": now.resident,
            }
        )
        if server is not None:
            counts = asked[servers.index(server)]
            rows[-1]["questions"] = counts["questions"] * times
            rows[-1]["octets"] = (counts["bytes_in"] + counts["bytes_out"]) * times
    return rows


def main(arguments: list[str]) -> None:
    seconds = float(arguments[0]) if arguments else 60.0
    os.chdir(ROOT)
    with running("tests.benchmarks.server") as (port, process):
        server = Replaying(Endpoint("127.0.0.1", port), process)
        with idle(server) as processes:
            rows = count(processes, seconds)
    print(report.tables({"idle": rows})["idle"], end="")


if __name__ == "__main__":
    main(sys.argv[1:])
