"""When a peer joined, left or came back with another address, and when to poll next. Pure.

The pure rooms, ``sources`` and everything above may import it.
Begin with `machine`; the table of states is in `transitions`.
"""
