"""A cluster, its DNS and its clients as one pure function of a seed, thousands of runs of it.

`python -m tests.simulation` compares peerdisco with two loops that people write, and
`python -m tests.simulation SEED` shows one run.
"""
