"""The process beside a database server: it enables writes on the primary, or follows it.

Only the command ``mysql-sidecar`` imports it.
Begin with `sidecar`; `primary_role` opens the primary, `replica_role` follows it.
"""
