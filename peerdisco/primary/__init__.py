"""Which pod is the primary, and whether it may act. Pure, except `probing`.

Everything above the pure rooms may import it.
Begin with `policies` (which pod), then `verdicts` (may it act).
"""
