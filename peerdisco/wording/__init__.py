"""Formats peers and snapshots for messages and as JSON. Pure.

Every room may import it.
Begin with `lists`; `as_json` has the keys of the public JSON format.
"""
