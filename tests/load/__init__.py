"""What many pods that watch each other cost their cluster, simulated.

`python -m tests.load` renews the figures and the tables of ``docs/explanation/scaling.md``.
"""
