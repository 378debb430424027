"""What the log and observers get to know: events, and observers for Prometheus and OpenTelemetry.

The modules `prometheus` and `opentelemetry` need their packages, which are optional; only the
application or the command that uses one imports it.
`events` has the events. Begin with `events`.
"""
