"""Peers in messages and in JSON. Pure.

Every room may import it.
Begin with `lists`; `as_json` has the promised keys.
"""
