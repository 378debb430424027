"""What a list and a watch of EndpointSlices carry, read from a recorded one. Pure.

Sizes are those of the JSON, without the headers of IP, TCP, TLS and HTTP.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).parents[1] / "vectors" / "endpointslice-list-watch.json"

MOST_ENDPOINTS = 100
"""In one slice, as kube-controller-manager is shipped (``--max-endpoints-per-slice``)."""

WATCH_SECONDS = 450.0
"""How long one watch lasts on average: client-go asks for 300 to 600 seconds (``reflector.go``)."""


class RecordedWatch:
    """A recorded list and watch of the slices of one service, and what they say of larger ones.

    Attributes:
        listed: The answer to the list.
        after: What was done, and the lines that followed: each with how many seconds later it came.
        bookmarks: The time and text of each bookmark.
    """

    def __init__(self, path: Path = RECORDING) -> None:
        self.listed: Any = None
        self.after: dict[str, list[tuple[float, Any]]] = {}
        self.bookmarks: list[tuple[float, Any]] = []
        opened = done_at = 0.0
        action = ""
        for record in json.loads(path.read_text(encoding="utf-8"))["records"]:
            match record:
                case {"kind": "list", "body": body}:
                    self.listed = body
                case {"kind": "watch-open", "at_s": opened}:
                    pass
                case {"kind": "action", "text": action, "at_s": done_at}:
                    self.after[action] = []
                case {"kind": "watch-line", "line": {"type": "BOOKMARK"} as line, "at_s": at}:
                    self.bookmarks.append((at - opened, line))
                case {"kind": "watch-line", "line": line, "at_s": at}:
                    self.after[action].append((at - done_at, line))

    @property
    def delays(self) -> list[float]:
        """Seconds from each action to the first line that reports it."""
        return [lines[0][0] for lines in self.after.values() if lines]

    @property
    def delay(self) -> float:
        """Their median."""
        return statistics.median(self.delays)

    def writes(self, action: str, pods: int = 1) -> float:
        """How many lines followed for each of so many pods."""
        return len(self.after[action]) / pods

    @property
    def writes_of_a_restart(self) -> float:
        """Terminating, gone, back; where a pod is listed before it is ready there is one more."""
        return self.writes("delete pod mysqlw-0 (comes back with a new address)")

    @property
    def bookmark(self) -> float:
        """Bytes a second that a watch carries while nothing changes."""
        seconds, line = self.bookmarks[0]
        return size(line) / seconds

    def line(self, ordinals: Sequence[int]) -> int:
        """The bytes of a line with a slice of these pods."""
        _, line = self.after["scale to 5"][-1]
        return size({**line, "object": _slice(line["object"], ordinals)})

    def listing(self, slices: Sequence[Sequence[int]]) -> int:
        """The bytes of a list of slices of these pods."""
        (item,) = self.listed["items"]
        return size({**self.listed, "items": [_slice(item, ordinals) for ordinals in slices]})


def size(document: Any) -> int:
    """The bytes of a document as the API server writes it, with the end of the line."""
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()) + 1


def _slice(example: Any, ordinals: Sequence[int]) -> Any:
    """The slice with these pods instead of its own."""
    endpoint = example["endpoints"][0]
    statefulset = endpoint["hostname"].rpartition("-")[0]
    pods = [f"{statefulset}-{ordinal}" for ordinal in ordinals]
    endpoints = [
        {**endpoint, "hostname": pod, "targetRef": {**endpoint["targetRef"], "name": pod}}
        for pod in pods
    ]
    return {**example, "endpoints": endpoints}


def full_slices(pods: int) -> list[range]:
    """The slices of so many pods, each as full as it may be."""
    return [
        range(first, min(first + MOST_ENDPOINTS, pods)) for first in range(0, pods, MOST_ENDPOINTS)
    ]


@cache
def restart_size(pods: int) -> float:
    """The bytes that the restart of a pod, which may be any of them, brings to one watcher."""
    watch = RecordedWatch()
    # A slice is changed as often as it has pods.
    lines = sum(watch.line(ordinals) * len(ordinals) for ordinals in full_slices(pods))
    return watch.writes_of_a_restart * lines / pods
