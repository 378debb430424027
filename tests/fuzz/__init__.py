"""Fuzz tests of everything that reads bytes which somebody else wrote.

Each `Target` reads one kind of input: DNS messages, the pod's files and variables, names,
arguments, what a MySQL server sends. It must read the input or refuse it with the error that its
reader documents; anything else is a fault. `targets.TARGETS` lists them.

The ordinary tests check a fixed number of inputs for each target (`test_fuzz.py`). The command
``python -m tests.fuzz`` checks as many as one likes, guided by coverage with ``--atheris``.
"""
