"""Exponential backoff (pure), and time limits that exclude stalls of the process.

Every room that waits may import it.
Begin with `backoff`.
"""
