# Everything a newcomer or CI runs. `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := peerdisco tests examples docs

# Processes that run tests. Most tests wait more than they compute, so there are more than cores.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS)
export WORKERS
# Keep bytecode, also where the environment says otherwise: the tests start hundreds of Pythons, and
# compiling the package takes almost half of each start.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-databases test-loop test-python test-pythons test-all-pythons coverage check fix bench docs package lock sbom clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "peerdisco needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of packages, renewed when what is declared changes.
$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	touch $@

# LOCKED=1 installs the versions of the lock file, with their hashes, instead of the newest.
LOCKED ?=
$(VENV)/develop.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
ifeq ($(LOCKED),1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/develop.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,mysql]' --group test --group servers --group docs --group check
endif
	touch $@

# What the suites need on any Python: no checkers and no documentation.
$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,mysql]' --group test --group servers
	touch $@

demo: $(VENV)/demo.stamp ## see a StatefulSet being discovered over real DNS messages (20 s)
	$(BIN)/peerdisco simulate

test: $(VENV)/develop.stamp ## run the tests
	$(PYTEST) --dist worksteal

test-long: $(VENV)/develop.stamp ## run the tests that take long, which the target test leaves out
	$(PYTEST) -m long --dist worksteal

test-databases: $(VENV)/develop.stamp ## run all tests of databases on the servers that PEERDISCO_TEST_SERVERS names: mariadb, other-mariadb, mysql
	$(PYTEST) -m "long or not long" --dist worksteal tests/mysql tests/examples

# One event loop for the tests and for every process that they start: asyncio, debug, eager, uvloop.
EVENT_LOOP ?= uvloop
# The suites that depend on the event loop, and those that may depend on the Python.
LOOP_SUITES := tests/loops tests/watching tests/contract tests/cancellation tests/hooks tests/testing tests/cli/test_run.py
PYTHON_SUITES := --ignore tests/unit/test_typing.py tests/unit tests/cli/test_commands.py tests/cli/test_watch.py tests/docs/test_repl.py
# The portion for which CI has the time beside `make test`.
SOME_LOOP_SUITES := tests/loops tests/cancellation
SOME_PYTHON_SUITES := --ignore tests/unit/test_typing.py --ignore tests/unit/test_imports.py --ignore tests/unit/dns/test_wire_differential.py --ignore tests/unit/mysql tests/unit

test-loop: $(VENV)/test.stamp ## run the suites of EVENT_LOOP (debug, eager, uvloop) on that loop
	EVENT_LOOP=$(EVENT_LOOP) PYTHONPATH=$(CURDIR)/tests/loops/site $(PYTEST) $(LOOP_SUITES)

test-python: $(VENV)/test.stamp ## run the suites that may depend on the Python: make PYTHON=python3.13 VENV=.venv-3.13 test-python
	$(PYTEST) $(PYTHON_SUITES) tests/servers

test-pythons: $(VENV)/develop.stamp ## a portion of test-all-pythons, as CI runs it
	PYTHON_SUITES="$(SOME_PYTHON_SUITES)" LOOP_SUITES="$(SOME_LOOP_SUITES)" .ci/pythons $(BIN)/python

test-all-pythons: $(VENV)/develop.stamp ## test the built wheel on the other Pythons of the classifiers, and every event loop
	PYTHON_SUITES="$(PYTHON_SUITES)" LOOP_SUITES="$(LOOP_SUITES)" .ci/pythons $(BIN)/python

# The suites that measure the package; most real databases, containers and examples add time and no lines.
COVERED_SUITES := tests/unit tests/cli tests/watching tests/hooks tests/contract tests/cancellation tests/large tests/recordings tests/testing tests/doctor tests/observability tests/mysql/test_doctor.py tests/mysql/test_sources.py tests/mysql/test_bootstrap.py tests/mysql/test_moves.py tests/examples/test_recovery.py tests/docs/test_simulation.py
# Without tests that limit CPU time, which measuring adds to, that repeat the same lines very often,
# that end a process in the middle of a write, before which coverage writes its data.
UNCOVERED_SUITES := --ignore tests/unit/test_typing.py --ignore tests/unit/dns/test_wire_differential.py --ignore tests/unit/mysql/test_model.py --deselect tests/unit/dns/test_hostile_servers.py::test_no_message_takes_long_to_read --deselect tests/cli/test_process_1.py::test_a_signal_ends_process_1_that_writes_to_nobody_who_reads --deselect tests/unit/mysql/sidecar/test_waiting.py::test_hours_without_a_server_and_then_it_is_there --deselect tests/cli/test_lean_imports.py::test_a_quiet_watcher_has_nothing_that_it_does_not_use --deselect tests/cli/test_lean_imports.py::test_a_quiet_sidecar_has_nothing_but_tls_that_it_may_not_use

coverage: $(VENV)/develop.stamp ## measure the coverage: every branch of the pure modules, and of the package 95 %
	$(PYTEST) --dist worksteal --cov --cov-report= $(UNCOVERED_SUITES) $(COVERED_SUITES)
	$(BIN)/python -m tests.coverage

check: $(VENV)/develop.stamp ## format, lint, types, import rules, docs: what CI checks
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet --no-header --override-ini addopts= tests/unit/test_imports.py
	$(MAKE) --no-print-directory docs

fix: $(VENV)/develop.stamp ## format, and apply the automatic fixes
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: $(VENV)/develop.stamp ## measure, side by side, print ratios and write them into the docs
	$(BIN)/python -m tests.benchmarks

docs: $(VENV)/develop.stamp ## build the documentation into docs/_build/html, warnings as errors
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs docs/_build/html

package: ## build the wheel and the source archive, and test the wheel as built
	.ci/package $(PYTHON)

lock: | $(BIN)/python ## write the lock files, with the newest versions and their hashes
	.ci/lock $(BIN)/python

sbom: | $(BIN)/python ## write a software bill of materials into dist
	.ci/sbom $(BIN)/python

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-3.* docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist
