"""Services that do not fit into one DNS answer: pod by pod, until the list is complete.

`peerdisco.sources.headless_dns` imports it, when an answer over TCP is truncated, and nothing else.
Begin with `enumeration`.
"""
