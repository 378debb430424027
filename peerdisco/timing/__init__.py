"""How long to wait: a bounded back-off (pure), and time limits that a stopped process survives.

Every room that waits may import it.
Begin with `backoff`.
"""
