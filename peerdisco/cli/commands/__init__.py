"""One module for each command of ``peerdisco``: its help, its options and its `run`.

`peerdisco.cli` loads the one that is called. What several commands share is in the folder above.
Begin with `peers`.
"""
