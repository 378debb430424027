"""From what pytest-benchmark measured to the results that are kept, and from those to tables.

The results are a JSON object: ``versions``, and for each table a list of rows with what a benchmark
put into its ``extra_info`` and its median, ``wall``, in seconds.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peerdisco.sources.large.rotation import MOST_VERIFIED
from tests import coredns
from tests.bind import NAMED
from tests.simulation.compare import written

from . import golang

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"
RESULTS = EXPLANATION / "benchmarks.json"
PAGE = EXPLANATION / "benchmarks.md"
PICTURE = Path(__file__).parents[2] / "docs" / "_tools" / "benchmark_picture.py"

Results = dict[str, Any]
Row = dict[str, Any]

FLOOR, OURS, NEW = "floor", "peerdisco", "peerdisco, every address new"
DNSPYTHON, SRV_ALONE = "dnspython", "dnspython, SRV alone"
AIODNS, C_LIBRARY = "aiodns", "getaddrinfo"
ON_AIODNS = "peerdisco on aiodns"
NONE_IN_TURN = "peerdisco, no pod in turn"
SRV_EXCHANGE, A_EXCHANGE = "the SRV exchange alone", "the A exchange alone, read"
ALL_EXCHANGES = "all its exchanges alone"
FEW_PODS = "1.3; CPU 1.5"
GO, GO_HOSTS = "Go", "Go, LookupHost"
TESTING, BIND, COREDNS = "the testing DNS", "BIND", "CoreDNS"
"""The servers; the first one answers as CoreDNS does."""
SERVERS = (TESTING, BIND, COREDNS)
CLUSTER_DNS, READS = "first answer", "dnspython reads it"
BARE = "bare, "
"""How the names of contenders begin that make the exchanges and nothing else."""
NOTHING_NEW = (
    (3, OURS, SRV_EXCHANGE, "1.5"),
    (1000, NONE_IN_TURN, A_EXCHANGE, "1.3"),
    (1000, OURS, A_EXCHANGE, ""),
    (1000, OURS, ALL_EXCHANGES, "2.0"),
    (2000, NONE_IN_TURN, A_EXCHANGE, "1.3"),
    (2000, OURS, A_EXCHANGE, ""),
    (5000, NONE_IN_TURN, A_EXCHANGE, "1.3"),
    (5000, OURS, A_EXCHANGE, ""),
)
"""Pods, who polls and finds nothing new, what that is compared with, and the limit.

The poll of a service that is too large for one answer has two parts: the addresses of the service,
and the pods that are verified in turn. The limit is for the first alone.
"""
EXCHANGES = {1000: 8, 2000: 8, 5000: 16}
"""The most exchanges of such a poll, apart from the pods that it verifies in turn."""
IDLE = {
    "`peerdisco watch`": "20 MB",
    "`peerdisco mysql-sidecar` of the primary": "28 MB",
    "`peerdisco mysql-sidecar` of a replica": "28 MB",
}
"""The most memory of an idle process."""
COLUMNS = (OURS, ON_AIODNS, AIODNS, DNSPYTHON, SRV_ALONE, C_LIBRARY, GO, GO_HOSTS)


def distill(measured: dict[str, Any]) -> Results:
    """What is kept of pytest-benchmark's report: nothing of the machine it ran on."""
    results: Results = {"versions": versions()}
    for bench in measured["benchmarks"]:
        row = dict(bench["extra_info"])
        row["wall"] = bench["stats"]["median"]
        rows = results.setdefault(row.pop("table"), [])
        figures: dict[str, str] = row.pop("figures", {})
        rows += [{"what": row["what"], "name": name, "value": figures[name]} for name in figures]
        if not figures:
            rows.append(row)
    return results


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    found |= {name: version(name) for name in ("dnspython", "aiodns", "pycares")}
    if NAMED is not None:
        said = subprocess.run([NAMED, "-v"], capture_output=True, text=True, check=True).stdout
        number = re.search(r"\d+(\.\d+)+", said)
        found["BIND"] = number[0] if number else said.strip()
    if coredns.missing() is None:
        found["CoreDNS"] = coredns.version()
    if golang.TOOLCHAIN is not None:
        found["Go"] = golang.version()
    return found


def tables(results: Results) -> dict[str, str]:
    """Each table, by the name of its markers in the page, as Markdown; those that were measured."""
    return {name: _table(rows) for name, rows in _rows(results).items() if len(rows) > 1}


def _rows(results: Results) -> dict[str, list[Sequence[str]]]:
    return {
        "limits": limits(results),
        "testing": enumeration(results, TESTING),
        "bind": enumeration(results, BIND),
        "coredns": enumeration(results, COREDNS),
        "first": first(results),
        "detail": detail(results),
        "steady": steady(results),
        "stability": stability(results),
        "detection": detection(results),
        "hour": hour(results),
        "idle": idle(results),
        "processes": processes(results),
        "database": database(results),
    }


def printed(results: Results) -> str:
    return "".join(f"\n{name}\n\n{table}" for name, table in tables(results).items())


def page(text: str, results: Results) -> str:
    """The page with these results in it."""
    names = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    empty = dict.fromkeys(_rows(results), "Not measured in the last run.\n")
    for name, table in {"versions": f"{names}.\n", **empty, **tables(results)}.items():
        text = written(text, name, table)
    return text


def write(results: Results) -> None:
    """Keep the results, and renew the page and the picture."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    subprocess.run([sys.executable, PICTURE], check=True)


# What it must reach.


def limits(results: Results) -> list[Sequence[str]]:
    """Each ratio for which there is a limit, and the limit."""
    rows: list[Sequence[str]] = [
        ("what", "peerdisco", "against", "median", "ratio", "ratio of CPU", "at most"),
    ]

    def add(what: str, ours: Row | None, against: Row | None, name: str, limit: str) -> None:
        if ours is None or against is None:
            return
        ratios = [f"{ours[of] / against[of]:.2f}" for of in ("wall", "cpu")]
        if "names" in ours and ours["names"] < ours["pods"]:
            ratios = ["-", "-"]
        cells = (_ms(ours) + _lost(ours), name, _ms(against) + _lost(against), *ratios, limit)
        rows.append((what, *cells))

    def found(who: str, pods: int, server: str = TESTING) -> Row | None:
        return _one(results, "enumeration", server=server, pods=pods, who=who)

    for who, words in ((OURS, ""), (NEW, ", every address new")):
        for pods in (3, 10, 100, 500, 700):
            what = f"names and addresses, {_n(pods)} pods{words}"
            limit = FEW_PODS if who == OURS and pods <= 10 else "2.0" if pods == 3 else "1.5"
            add(what, found(who, pods), found(FLOOR, pods), "the floor", limit)
    for pods in (100, 500, 700, 1000, 2000, 5000):
        what = f"names and addresses, {_n(pods)} pods"
        add(what, found(OURS, pods), found(SRV_ALONE, pods), SRV_ALONE, "0.10")
        add(what, found(OURS, pods), found(AIODNS, pods), AIODNS, "0.6")
    for server in SERVERS:
        what = f"5,000 pods from {server}"
        against = "5,000 bare exchanges"
        add(what, found(OURS, 5000, server), found(FLOOR, 5000, server), against, "1.5")
    rows += _against_go(results)
    for server in SERVERS:
        for pods in (2000, 5000):
            what = f"first lookup of {_n(pods)} pods from {server}"
            where = {"server": server, "pods": pods}
            ours, best = _one(results, "first", who=OURS, **where), _best(results, where)
            add(what, ours, best, best["who"] if best else "", "1.3")
    for pods, who, against, limit in NOTHING_NEW:
        part = ", no pod verified in turn" if who == NONE_IN_TURN else ""
        for server in SERVERS:
            where = {"pods": pods, "server": server}
            those = _one(results, "steady", who=who, **where)
            theirs = _one(results, "steady", who=against, **where)
            what = f"{_n(pods)} pods from {server}, nothing changed{part}"
            add(what, those, theirs, against, limit)
            if those and theirs and those["questions"] and (who, limit) == (OURS, ""):
                what = f"exchanges of a poll, {_n(pods)} pods from {server}, nothing changed"
                most = EXCHANGES[pods] + MOST_VERIFIED
                rows.append((what, _n(those["questions"]), "", "", "", "", f"{most}"))
    for who, limit in (("import peerdisco", "1.3"), ("peerdisco primary", "2.0")):
        base = "import asyncio"
        ours, theirs = (_one(results, "startup", who=one) for one in (who, base))
        add(f"a process: `{who}`", ours, theirs, f"`{base}`", limit)
    held = found(OURS, 5000)
    if held:
        stall = f"{held['stall'] * 1e3:.1f} ms"
        rows.append(("the event loop held, 5,000 pods", stall, "", "", "", "", "5 ms"))
    few, many = (_one(results, "memory", pods=pods) for pods in (3, 5000))
    if few and many:
        most, least = (many.get("most", many["resident"]), few.get("least", few["resident"]))
        more = f"{(most - least) / 2**20:.1f} MiB"
        known = "" if many["found"] == 5000 else f" ({_n(many['found'])} of 5,000)"
        what = "memory of a watcher of 5,000 pods above one of 3, at most"
        rows.append((what, more + known, "", "", "", "", "8 MiB"))
    if few and many and "collection" in many:
        times = [row["collection"] * 1e3 for row in (many, few)]
        what = "a garbage collection of all objects, watcher of 5,000 pods"
        cells = (f"{times[0]:.1f} ms", "one of 3 pods", f"{times[1]:.1f} ms")
        rows.append((what, *cells, "", f"{times[0] / times[1]:.2f}", "5 ms"))
    first, read = (_one(results, "cluster_dns", who=who) for who in (CLUSTER_DNS, READS))
    add("`ClusterDNS`: the first SRV answer, 5,000 pods", first, read, READS, "50 ms")
    for row in results.get("idle", []):
        if limit := IDLE.get(row["who"]):
            memory = f"{row['resident'] / 1e6:.1f} MB"
            rows.append((f"memory of {row['who']}", memory, "", "", "", "", limit))
    for row in results.get("stability", []):
        if row["who"] == OURS:
            what = (
                f"false joins and departures, {_n(row['lookups'])} lookups, {_n(row['pods'])} pods "
                f"from {row['server']}"
            )
            rows.append((what, _n(row["joined"] + row["left"]), "", "", "", "", "0"))
    return rows


def _against_go(results: Results) -> list[Sequence[str]]:
    """The time for each name that was found, against that of Go's resolver."""
    rows: list[Sequence[str]] = []
    for table, words in (("enumeration", "names and addresses"), ("first", "first lookup")):
        for theirs in results.get(table, []):
            where = {"server": theirs["server"], "pods": theirs["pods"]}
            ours = _one(results, table, who=OURS, **where)
            if theirs["who"] != GO or ours is None or not (ours["names"] and theirs["names"]):
                continue
            each = [row["wall"] / row["names"] for row in (ours, theirs)]
            what = f"{words}, {_n(theirs['pods'])} pods from {theirs['server']}, for each name"
            median = f"{each[0] * 1e6:.1f} µs", GO, f"{each[1] * 1e6:.1f} µs" + _lost(theirs)
            rows.append((what, *median, f"{each[0] / each[1]:.2f}", "", "0.5"))
    return rows


def _best(results: Results, where: Row) -> Row | None:
    """The fastest of the bare exchanges."""
    bare = [
        row
        for row in results.get("first", [])
        if row["who"].startswith(BARE) and where.items() <= row.items()
    ]
    return min(bare, key=lambda row: row["wall"], default=None)


# Names and addresses.


def first(results: Results) -> list[Sequence[str]]:
    """First lookups, in milliseconds and in multiples of the fastest bare exchanges."""
    rows: list[Sequence[str]] = [("DNS", "pods", "who", "median", "ratio", "CPU")]
    for row in results.get("first", []):
        best = _best(results, {"server": row["server"], "pods": row["pods"]})
        ratio = "-" if best is None else f"{row['wall'] / best['wall']:.2f}"
        cpu = "" if row["who"] == GO else f"{row['cpu'] * 1e3:.0f} ms"
        lost = "" if row["who"].startswith(BARE) else _lost(row)
        rows.append((row["server"], _n(row["pods"]), row["who"], _ms(row) + lost, ratio, cpu))
    return rows


def enumeration(results: Results, server: str) -> list[Sequence[str]]:
    """Medians as multiples of the floor's, and who lost pods."""
    rows: list[Sequence[str]] = [("pods", "the floor", *COLUMNS)]
    for pods in _values(results, "enumeration", "pods"):
        base = _one(results, "enumeration", server=server, pods=pods, who=FLOOR)
        if base is None:
            continue
        cells = []
        for who in COLUMNS:
            row = _one(results, "enumeration", server=server, pods=pods, who=who)
            cells.append("-" if row is None else _multiple(row, base) + _lost(row))
        rows.append((_n(pods), _ms(base), *cells))
    return rows


def detail(results: Results) -> list[Sequence[str]]:
    """What else a lookup takes."""
    rows: list[Sequence[str]] = [
        ("pods", "who", "CPU", "CPU, in floors", "loop held for", "memory at once")
    ]
    for pods in _values(results, "enumeration", "pods"):
        base = _one(results, "enumeration", server=TESTING, pods=pods, who=FLOOR)
        for who in (FLOOR, *COLUMNS):
            row = _one(results, "enumeration", server=TESTING, pods=pods, who=who)
            if row is None or base is None or not row["memory"]:
                continue
            cpu = f"{row['cpu'] * 1e3:.2f} ms"
            share = f"{row['cpu'] / base['cpu']:.1f}"
            stall, memory = f"{row['stall'] * 1e3:.1f} ms", f"{row['memory'] / 1024:,.0f} KiB"
            rows.append((_n(pods), who, cpu, share, stall, memory))
    return rows


# Watching.


def steady(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("DNS", "pods", "who", "questions", "median", "against one exchange", "loop held for")
    ]
    for row in results.get("steady", []):
        where = {"server": row["server"], "pods": row["pods"]}
        alone = (_one(results, "steady", who=who, **where) for who in (SRV_EXCHANGE, A_EXCHANGE))
        base = next((one for one in alone if one is not None), None)
        ratio = "-" if base is None else f"{row['wall'] / base['wall']:.2f}"
        questions = "" if row["questions"] is None else _n(row["questions"])
        stall = f"{row['stall'] * 1e3:.1f} ms"
        rows.append((row["server"], _n(row["pods"]), row["who"], questions, _ms(row), ratio, stall))
    return rows


def stability(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        (
            "DNS",
            "pods",
            "who",
            "lookups",
            "first known",
            "at the end",
            "joined",
            "left",
            "marked incomplete",
        )
    ]
    for row in results.get("stability", []):
        numbers = [_n(row[what]) for what in _COUNTED]
        rows.append((row["server"], _n(row["pods"]), row["who"], *numbers))
    return rows


_COUNTED = ("lookups", "first", "known", "joined", "left", "unsure")


def detection(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("DNS", "pods", "join, median", "join, latest", "leave, median", "leave, latest")
    ]
    for row in results.get("detection", []):
        times = [f"{row[what]:.2f}" for what in ("join", "latest_join", "leave", "latest_leave")]
        rows.append((row["server"], _n(row["pods"]), *times))
    return rows


def hour(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("pods", "cache", "lookups", "questions", "bytes")]
    for row in results.get("hour", []):
        cached = "none" if row["cached"] is None else f"{row['cached']:g} s"
        octets = f"{row['octets'] / 1e6:,.1f} MB"
        rows.append((_n(row["pods"]), cached, _n(row["lookups"]), _n(row["questions"]), octets))
    return rows


def idle(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("", "wake-ups", "questions", "bytes", "CPU", "resident memory"),
    ]
    for row in results.get("idle", []):
        asked = _n(row["questions"]) if "questions" in row else ""
        octets = f"{row['octets'] / 1e6:.1f} MB" if "octets" in row else ""
        cpu, resident = f"{row['cpu']:.1f} s", f"{row['resident'] / 1e6:.1f} MB"
        rows.append((row["who"], _n(row["wakeups"]), asked, octets, cpu, resident))
    return rows


def processes(results: Results) -> list[Sequence[str]]:
    """Starts, memory, and what many watchers take."""
    rows: list[Sequence[str]] = [("what", "", "")]
    base = _one(results, "startup", who="import asyncio")
    for row in results.get("startup", []):
        name = row["who"] if row["who"].startswith("peerdisco") else f"python -c '{row['who']}'"
        ratio = "" if base is None else f"{row['wall'] / base['wall']:.2f} of `import asyncio`"
        rows.append((f"`{name}`", _ms(row), ratio))
    for row in results.get("memory", []):
        size, peak = (f"{row[what] / 2**20:.1f} MiB" for what in ("resident", "peak"))
        rows.append((f"memory of a watcher of {_n(row['pods'])} pods", size, f"at most {peak}"))
    for row in results.get("soak", []):
        size, grown = (f"{row[what] / 2**20:.1f} MiB" for what in ("resident", "grown"))
        after = f"memory after {_n(row['settled'])} changes"
        rows.append((after, size, f"grown after {_n(row['changes'])}: {grown}"))
    for row in results.get("many", []):
        share = f"{row['share'] * 100:.1f} % of one processor"
        cost = f"{row['cpu'] * 1e6:.0f} us of CPU a lookup"
        rows.append((f"{row['watchers']} watchers on as many services", share, cost))
    return rows


def database(results: Results) -> list[Sequence[str]]:
    """The figures of the benchmarks of the database."""
    rows = [(row["what"], row["name"], row["value"]) for row in results.get("figures", [])]
    return [("what", "", ""), *rows]


# Cells.


def _one(results: Results, table: str, **where: object) -> Row | None:
    for row in results.get(table, []):
        if where.items() <= row.items():
            return row
    return None


def _values(results: Results, table: str, column: str) -> list[Any]:
    return list(dict.fromkeys(row[column] for row in results.get(table, [])))


def _ms(row: Row) -> str:
    return f"{row['wall'] * 1e3:.2f} ms"


def _multiple(row: Row, base: Row) -> str:
    ratio = row["wall"] / base["wall"]
    return f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:.0f}"


def _lost(row: Row) -> str:
    """How many pods of how many, unless it found all."""
    if "names" not in row or row["who"] == FLOOR:
        return ""
    found = max(row["names"], row["addresses"])
    if row["who"] in (OURS, ON_AIODNS):
        found = min(row["names"], row["addresses"])
    if found == row["pods"]:
        return " (not sure of it)" if row["complete"] is False else ""
    said = ", said so" if row["complete"] is False else ""
    return f" ({_n(found)} of {_n(row['pods'])}{said})"


def _n(number: float) -> str:
    return f"{number:,.0f}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    header, *rest = rows
    lines = [header, ["---"] * len(header), *rest]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
