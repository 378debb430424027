"""The sidecar's status page: HTML without scripts, which refreshes itself. Pure.

Everything on it is escaped: names and errors come from DNS and from servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from ...model import Peer, Snapshot, clear_primary
from .past_reports import Entry

__all__ = ["render"]

REFRESH = 5
"""Seconds after which a browser loads the page again."""
_MOST_PEERS = 200


def render(
    facts: Mapping[str, object],
    *,
    pod: str,
    snapshot: Snapshot,
    history: Sequence[Entry],
    at: datetime,
) -> str:
    """The page.

    Args:
        facts: What ``/readyz`` says: `Report.as_json`.
        pod: The name of this pod.
        snapshot: The membership.
        history: The entries, the newest first.
        at: The date and time, in UTC.
    """
    body = "\n".join(
        [
            f"<h1>{escape(pod)} <small>{escape(snapshot.service)}</small></h1>",
            _readiness(ready=bool(facts.get("ready")), state=facts.get("state")),
            f"<p>{_text(facts.get('reason'))}</p>",
            _section("Server", _facts(facts)),
            _section("Verdict", _verdict(facts)),
            _section("Problems", _rows_of(facts.get("problems"), ("code", "peer", "detail"))),
            _section("Peers", _peers(snapshot)),
            _section("History", _history(history)),
            _FOOTER.format(_time(at)),
        ]
    )
    before, _, rest = _PAGE.partition("{title}")
    middle, _, after = rest.partition("{body}")
    title = escape(f"{pod}: {facts.get('state')}")
    return f"{before}{title}{middle}{body}{after}"


def _readiness(*, ready: bool, state: object) -> str:
    kind, words = ("ready", "ready") if ready else ("not-ready", "not ready")
    return f'<p class="{kind}">{words}: {_text(state)}</p>'


def _facts(facts: Mapping[str, object]) -> str:
    lag = facts.get("lag")
    rows = [
        ("role", facts.get("role")),
        ("replication lag", None if lag is None else f"{lag} s"),
        ("follows", facts.get("source")),
        ("cluster identity", facts.get("identity")),
    ]
    return _table(None, ((name, value) for name, value in rows))


def _verdict(facts: Mapping[str, object]) -> str:
    verdict = facts.get("verdict")
    if not isinstance(verdict, Mapping):
        return "<p>not asked</p>"
    reasons = _rows_of(verdict.get("reasons"), ("code", "peer", "detail"))
    return f"<p>{_text(verdict.get('decision'))}</p>{reasons}"


def _peers(snapshot: Snapshot) -> str:
    remarks = []
    if not snapshot.known:
        remarks.append("DNS has not answered yet: the peers are unknown.")
    if snapshot.stale:
        remarks.append(f"DNS lookups fail, keeping the last known peers: {snapshot.last_error}")
    elif snapshot.known and not snapshot.complete:
        remarks.append(f"The list may be incomplete: {snapshot.incomplete_reason}")
    primary, local = clear_primary(snapshot), snapshot.local
    shown = snapshot.peers[:_MOST_PEERS]
    if len(snapshot) > len(shown):
        remarks.append(f"{len(snapshot) - len(shown)} more peers are not shown.")
    rows = (
        (
            snapshot.name_of(peer),
            ", ".join(map(str, peer.addresses)),
            ", ".join(_roles(peer, primary, local)),
            "suspected" if peer in snapshot.unconfirmed else "listed",
        )
        for peer in shown
    )
    table = _table(("name", "address", "role", "state"), rows)
    return "".join(f"<p>{escape(remark)}</p>" for remark in remarks) + table


def _roles(peer: Peer, primary: Peer | None, local: Peer | None) -> Iterator[str]:
    if peer is primary:
        yield "primary"
    if peer is local:
        yield "this pod"


def _history(history: Sequence[Entry]) -> str:
    rows = ((_time(one.at), one.state, "; ".join((one.reason, *one.done))) for one in history)
    return _table(("since", "state", "reason"), rows)


def _rows_of(found: object, keys: Sequence[str]) -> str:
    """A table of mappings with these keys."""
    if not isinstance(found, Sequence) or not found:
        return "<p>none</p>"
    return _table(keys, (tuple(one.get(key) for key in keys) for one in found))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(header: Sequence[str] | None, rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header or ())
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def _text(value: object) -> str:
    return "-" if value in (None, "") else escape(str(value))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


_FOOTER = (
    f"<footer>{{}}; reloads every {REFRESH} s. "
    '<a href="/readyz">/readyz</a> <a href="/metrics">/metrics</a></footer>'
)
_PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="{REFRESH}">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 60rem;
  padding: 0 1rem; color: CanvasText; background: Canvas; color-scheme: light dark; }}
h1 small {{ font-size: 55%; font-weight: normal; }}
h2 {{ font-size: 1rem; margin: 1.2rem 0 .3rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0;
  border-bottom: 1px solid GrayText; overflow-wrap: anywhere; min-width: 7rem; }}
.ready, .not-ready {{ font-weight: bold; padding: .3rem .6rem; border-left: .5rem solid; }}
.ready {{ border-color: seagreen; }}
.not-ready {{ border-color: firebrick; }}
footer {{ margin-top: 2rem; font-size: 85%; }}
</style>
</head>
<body>
{{body}}
</body>
</html>
"""
