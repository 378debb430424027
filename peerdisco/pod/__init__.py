"""Who this pod is, and which name servers it asks: the environment and the kubelet's files.

``sources`` and everything above may import it. All but `identity` is pure.
Begin with `identity`.
"""
