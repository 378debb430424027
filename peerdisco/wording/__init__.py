"""Formats peers and snapshots for messages. Pure.

Every room may import it.
Begin with `lists`.
"""
