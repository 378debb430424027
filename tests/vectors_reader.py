"""The recorded answers in ``tests/vectors``, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "vectors"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question to a real CoreDNS, and what it answered."""

    scenario: str
    name: str
    type: str
    transport: str
    edns_payload: int | None
    server: str
    query: bytes
    answer: bytes
    rcode: str
    tc: bool

    def __str__(self) -> str:
        edns = self.edns_payload or "no-edns"
        return f"{self.scenario}-{self.type}-{self.name}-{self.transport}-{edns}-{self.server}"


@cache
def scenarios() -> dict[str, dict[str, Any]]:
    """Every file that records exchanges over DNS, by its name."""
    read = {path.stem: json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))}
    return {name: scenario for name, scenario in read.items() if "exchanges" in scenario}


@cache
def exchanges(scenario: str | None = None) -> tuple[Exchange, ...]:
    """Every recorded exchange that was answered; of one scenario, or of all."""
    return tuple(
        Exchange(
            scenario=name,
            name=recorded["name"],
            type=recorded["type"],
            transport=recorded["transport"],
            edns_payload=recorded["edns_payload"],
            server=recorded["server"],
            query=bytes.fromhex(recorded["query_hex"]),
            answer=bytes.fromhex(recorded["answer_hex"]),
            rcode=recorded["rcode"],
            tc=recorded["tc"],
        )
        for name, content in scenarios().items()
        if scenario in (None, name)
        for recorded in content["exchanges"]
        if recorded["answer_hex"] is not None
    )


def answers(*, largest: int = 65535, smallest: int = 0) -> tuple[bytes, ...]:
    """The distinct recorded answers of these sizes, smallest first."""
    distinct = {exchange.answer for exchange in exchanges()}
    return tuple(
        sorted(
            (answer for answer in distinct if smallest <= len(answer) <= largest),
            key=lambda answer: (len(answer), answer),
        )
    )
