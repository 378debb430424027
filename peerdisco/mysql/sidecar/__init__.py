"""The process beside a database server: it follows the primary, or opens it.

Only the command ``mysql-sidecar`` imports it.
Begin with `sidecar`; `as_primary` opens the primary, `as_replica` follows it.
"""
