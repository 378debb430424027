"""The diagnosis of a set-up: facts are gathered, and checks turn them into findings with fixes.

`examine` and the modules ``*_facts`` gather the facts, each with its own time limit. `checks` are
pure: facts in, findings out. `report` prints them. Only the command ``doctor`` imports this
package. Begin with `findings` and `checks`.
"""
