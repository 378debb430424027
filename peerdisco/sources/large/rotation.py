"""Which pods to verify in a poll that asks for only a part of them. Pure.

The service's own address records show which addresses are in use, and not which pod has which.
`Rotation` takes the known pods in turn, so that each one's own address records are queried within a
bounded number of polls. `Owners` finds the pods that a changed list of addresses concerns.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping

__all__ = ["LISTING_POLLS", "MOST_VERIFIED", "ROUND_POLLS", "Owners", "Rotation", "are_shared"]

MOST_VERIFIED = 64
"""Number of pods that one poll verifies in turn, at most."""

ROUND_POLLS = 32
"""Number of polls in which every pod is verified, if `MOST_VERIFIED` allows it.

Beyond 2,048 pods it is the number of pods divided by `MOST_VERIFIED`."""

LISTING_POLLS = 16
"""Every so many polls also query the service's SRV records.

They show a port that changed although no address did, and whether one answer holds all pods by
now."""


class Rotation:
    """The known pods, in the order in which they are verified.

    A new pod is put last, so the others are not verified later because of it.
    """

    def __init__(self) -> None:
        self._order: list[bytes] = []
        self._at = 0
        self._retries: tuple[bytes, ...] = ()

    def next(self, others: int = 0) -> list[bytes]:
        """The pods to verify in this poll: first those to retry, then the next ones in turn.

        Args:
            others: The number of other names that this poll queries, to verify fewer pods.
        """
        most = max(MOST_VERIFIED // 2, MOST_VERIFIED - others)
        count = min(most, -(-len(self._order) // ROUND_POLLS))
        retries, self._retries = self._retries[:count], self._retries[count:]
        end = self._at + count - len(retries)
        names = self._order[self._at : end]
        if end >= len(self._order):
            end -= len(self._order)
            names += self._order[: min(end, self._at)]
        self._at = max(0, end)
        return [*dict.fromkeys((*retries, *names))]

    def update(self, present: Mapping[bytes, object]) -> None:
        """Apply a change of the known pods."""
        order = self._order[self._at :] + self._order[: self._at]
        kept = dict.fromkeys(name for name in order if name in present)
        self._order = [*kept, *(name for name in present if name not in kept)]
        self._at = 0

    def retry(self, failed: Iterable[bytes]) -> None:
        """Verify these in the next poll, because nothing was learned about them in this one."""
        self._retries = (*dict.fromkeys((*failed, *self._retries)),)


class Owners:
    """The pods that have each address, according to the previous lookup.

    Args:
        addresses: The addresses of each pod.

    Attributes:
        shared: Whether pods share an address, as with ``hostNetwork``.
    """

    def __init__(self, addresses: Mapping[bytes, tuple[bytes, ...]]) -> None:
        self._first: dict[bytes, bytes] = {}
        self._others: dict[bytes, list[bytes]] = {}
        for name, many in addresses.items():
            for packed in many:
                if self._first.setdefault(packed, name) is not name:
                    self._others.setdefault(packed, []).append(name)
        self.shared = bool(self._others)

    @property
    def addresses(self) -> KeysView[bytes]:
        return self._first.keys()

    def of(self, addresses: Iterable[bytes]) -> list[bytes]:
        """The pods that have any of these addresses, each once, in the order of the addresses."""
        names: dict[bytes, None] = {}
        for packed in addresses:
            if (first := self._first.get(packed)) is not None:
                names[first] = None
                names |= dict.fromkeys(self._others.get(packed, ()))
        return [*names]


def are_shared(addresses: Mapping[bytes, tuple[bytes, ...]]) -> bool:
    """Whether pods share addresses, as with ``hostNetwork``.

    Then a pod may be missing although every address has a name.
    """
    held = [packed for many in addresses.values() for packed in many]
    return len(set(held)) < len(held)
