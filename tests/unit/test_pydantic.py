"""pydantic and FastAPI take the values as they are: as fields, as parameters and as responses."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Annotated, Any

import fastapi
import pydantic
import pytest

import peerdisco


def snapshot(**changed: Any) -> peerdisco.Snapshot:
    found = asyncio.run(
        peerdisco.discover(
            "db.prod.svc.cluster.local",
            source="static:db-0=10.0.0.1:3306,db-1=10.0.0.2:3306",
            identity=peerdisco.Identity("db-1", "prod", 1, "db"),
        )
    )
    return replace(found, **changed)


ERROR = peerdisco.ConfigurationError("service", "x", "y")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"last_error": ERROR},
        {"policy": peerdisco.lowest_ordinal},
        {"policy": lambda _: None},
        {"policy": None},
    ],
)
def test_a_snapshot_is_taken_as_it_is_and_written(changed: dict[str, Any]) -> None:
    adapter = pydantic.TypeAdapter(peerdisco.Snapshot)
    given = snapshot(**changed)
    taken = adapter.validate_python(given)
    assert taken == given
    assert taken.last_error is given.last_error
    assert taken.primary == given.primary
    written = json.loads(adapter.dump_json(given))
    assert written["peers"][0]["ports"] == {"": 3306}
    assert written["peers"][1]["addresses"] == ["10.0.0.2"]
    assert written["last_error"] == (str(ERROR) if "last_error" in changed else None)
    read = adapter.validate_json(adapter.dump_json(given))
    assert read == given
    assert isinstance(read.peers[0].ports, peerdisco.Ports)
    assert str(read.last_error) == str(given.last_error)


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize(
    "public",
    [
        peerdisco.Snapshot,
        peerdisco.Change,
        peerdisco.Peer,
        peerdisco.Identity,
        peerdisco.Attempt,
        peerdisco.Ports,
        peerdisco.Verdict,
        peerdisco.Probe,
        peerdisco.Reason,
        peerdisco.DiscoveryError,
        peerdisco.NotReady,
    ],
)
def test_every_value_has_a_schema(public: type, mode: Any) -> None:
    assert pydantic.TypeAdapter(public).json_schema(mode=mode)


def test_fastapi_takes_a_snapshot() -> None:
    application = fastapi.FastAPI()

    def current() -> peerdisco.Snapshot:
        return snapshot()

    # Annotations are text in this module, and read when the route is added.
    globals()["_Current"] = Annotated[peerdisco.Snapshot, fastapi.Depends(current)]

    @application.get("/peers")
    async def peers(found: _Current) -> peerdisco.Snapshot:  # type: ignore[name-defined]  # noqa: F821
        return found  # type: ignore[no-any-return]

    assert "/peers" in application.openapi()["paths"]
    status, body = asyncio.run(get(application, "/peers"))
    assert status == 200
    assert [peer["name"] for peer in json.loads(body)["peers"]] == ["db-0", "db-1"]


async def get(application: Any, path: str) -> tuple[int, bytes]:
    """One request, as a server hands it to an application (ASGI)."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
    }
    await application(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], body
