"""One file a command: what it is called, what it declares, and what it does.

`peerdisco.cli` loads the one that was called; what commands share is in the folder above.
Begin with `peers`.
"""
