"""What holds the promises: campaigns with figures, and the tests of each promise.

``python -m tests.reliability`` runs the campaigns of `campaigns.py` and renews
``docs/explanation/reliability.md``, its picture and ``reliability.json``. The promises of
``docs/explanation/promises.md`` and their tests are in `promises.py`.
"""
