"""Detects when peers join, leave or change addresses, and schedules the next poll. Pure.

The pure rooms, ``sources`` and everything above may import it.
Begin with `machine`; `transitions` has its table of states, `records` what it remembers.
"""
