"""What a peer can be, what a lookup can say of it, and what follows: one table. Pure."""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "Action", "Evidence", "State"]


class State(Enum):
    """What a peer is to the application."""

    GONE = "gone"
    """Not there, as far as was told."""
    PRESENT = "present"
    """There, as it was told."""
    SUSPECTED = "doubted"
    """There, as far as was told, but missing from the newest complete answer."""
    SETTLING = "settling"
    """There, but its addresses or ports differ from what was told, and may be old news."""


class Evidence(Enum):
    """What a look says of one peer."""

    SAME = "the same"
    """It is listed as it was told."""
    MOVED = "moved"
    """It is listed with addresses or ports that it did not have before."""
    UNSETTLED = "unsettled"
    """It is listed differently, as an old answer may have it, or with old and new addresses."""
    SETTLED = "settled"
    """The same difference for so long that no old answer can explain it."""
    ABSENT = "absent"
    """A complete answer does not list it."""
    ABSENT_FOR_LONG = "absent for long"
    """It was absent from enough complete answers, for longer than a cache can hold one."""


class Action(Enum):
    """What is told."""

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
"""Every state, everything a look can say in it, the state that follows, and what is told."""
