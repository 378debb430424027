"""Random events on real servers and sidecars, and what must hold after each round of them.

``python -m tests.mysql.campaign`` runs one cluster after the other. A seed decides which events
come, on which pods and for how long: a seed that found a fault is run again with ``--seed``.
`plan.py` makes the plan of a seed, `events.py` does what it says, `cluster.py` holds the cluster
and checks it.
"""
