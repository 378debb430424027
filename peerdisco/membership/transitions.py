"""The states of a peer and the transitions between them, as one table. Pure."""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "Action", "Evidence", "State"]


class State(Enum):
    """The state of a peer, as reported to the application."""

    GONE = "gone"
    """Not a member: it never joined, or its departure was reported."""
    PRESENT = "present"
    """A member, confirmed by the newest complete answer."""
    SUSPECTED = "suspected"
    """Still a member, but missing from the newest complete answer."""
    SETTLING = "settling"
    """A member listed with other addresses or ports, which an outdated answer may explain."""


class Evidence(Enum):
    """What one answer says about one peer."""

    SAME = "the same"
    """Listed with the reported addresses and ports."""
    MOVED = "moved"
    """Listed with addresses or ports that it did not have before."""
    UNSETTLED = "unsettled"
    """Listed with old and new addresses, or as an outdated answer would list it."""
    SETTLED = "settled"
    """Listed with the same difference for so long that no outdated answer can explain it."""
    ABSENT = "absent"
    """Missing from a complete answer."""
    ABSENT_FOR_LONG = "absent for long"
    """Missing from enough complete answers, for longer than a cache can hold one."""


class Action(Enum):
    """The change that is reported."""

    NOTHING = "-"
    JOINED = "joined"
    LEFT = "left"
    REPLACED = "replaced"


TRANSITIONS: dict[tuple[State, Evidence], tuple[State, Action]] = {
    (State.GONE, Evidence.MOVED): (State.PRESENT, Action.JOINED),
    (State.PRESENT, Evidence.SAME): (State.PRESENT, Action.NOTHING),
    (State.PRESENT, Evidence.MOVED): (State.PRESENT, Action.REPLACED),
    (State.PRESENT, Evidence.UNSETTLED): (State.SETTLING, Action.NOTHING),
    (State.PRESENT, Evidence.ABSENT): (State.SUSPECTED, Action.NOTHING),
    (State.SUSPECTED, Evidence.SAME): (State.PRESENT, Action.NOTHING),
    (State.SUSPECTED, Evidence.MOVED): (State.PRESENT, Action.REPLACED),
    (State.SUSPECTED, Evidence.UNSETTLED): (State.SETTLING, Action.NOTHING),
    (State.SUSPECTED, Evidence.ABSENT): (State.SUSPECTED, Action.NOTHING),
    (State.SUSPECTED, Evidence.ABSENT_FOR_LONG): (State.GONE, Action.LEFT),
    (State.SETTLING, Evidence.SAME): (State.PRESENT, Action.NOTHING),
    (State.SETTLING, Evidence.MOVED): (State.PRESENT, Action.REPLACED),
    (State.SETTLING, Evidence.UNSETTLED): (State.SETTLING, Action.NOTHING),
    (State.SETTLING, Evidence.SETTLED): (State.PRESENT, Action.REPLACED),
    (State.SETTLING, Evidence.ABSENT): (State.SUSPECTED, Action.NOTHING),
}
"""The next state and the reported change, for each state and evidence."""
