"""The process beside a database server: it enables writes on the primary, or follows it.

Only commands import it: ``mysql-sidecar``, and those that query the peers' servers, `peers`.
Begin with `sidecar`; `primary_role` opens the primary, `replica_role` follows it.
"""
