# pyright: strict
"""What a type checker has to refuse: one wrong line each, marked with the refusal's place."""

from __future__ import annotations

# ruff: noqa: B018 - the types of expressions are what is checked
import peerdisco


async def wrong(snapshot: peerdisco.Snapshot, peer: peerdisco.Peer) -> None:
    await peerdisco.discover(5)  # WRONG: a service is text
    await peerdisco.discover("db", 5)  # WRONG: the options have names
    await peerdisco.discover("db", primary=0)  # WRONG: a policy is a function
    await peerdisco.discover("db", nameservers=[53])  # WRONG: name servers are text
    peerdisco.discover("db").primary  # WRONG: a lookup is awaited
    await peerdisco.sync.discover("db")  # WRONG: the blocking one is not
    snapshot.primary.name  # WRONG: there may be no primary
    snapshot.peers = ()  # WRONG: a snapshot does not change
    peer.ready = True  # WRONG: neither does a peer
    peer.ports[""] = 1  # WRONG: nor its ports
    peer.leader  # WRONG: there is no such thing
    peerdisco.parse_pod_name(0)  # WRONG: a name is text
    peerdisco.Discovery(0)  # WRONG: a service is text
    peerdisco.sync.Discovery(0)  # WRONG: here too
    peerdisco.sync.Discovery("db", intervall=1)  # WRONG: there is no such option
    peerdisco.sync.Discovery("db", timeout="5")  # WRONG: seconds are a number
    with peerdisco.Discovery("db"):  # WRONG: it is entered with async with
        pass
    peerdisco.quorum("5")  # WRONG: a quorum is of a number
