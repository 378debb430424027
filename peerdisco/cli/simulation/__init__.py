"""The play of ``peerdisco simulate``: `story` is the list of events, `screen` prints them.

Only `peerdisco.cli.commands.simulate` imports it, because it needs dnspython. Begin with `story`.
"""
