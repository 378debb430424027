"""The identity of this pod, and its settings: from the environment and the kubelet's files.

``sources`` and everything above may import it. Only `environment` reads the machine.
Begin with `identity`; `service` and `settings` choose what a lookup uses.
"""
