# Openstreamer: `make run` starts the server, `make test` checks everything, `make help` explains the rest.
# Every step is skipped when nothing it reads has changed (stamps in .install/).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .install
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PAGES := src/openstreamer/control/pages/dist/index.html
WEB_SOURCES := $(wildcard web/*.mjs web/*.json web/.npmrc web/src/* web/src/*/*)
PYTEST := $(BIN)/pytest
# Arguments for the programs behind run, bench, fuzz: make run ARGS="--http 127.0.0.1:9000 --no-demo"
ARGS ?=
FUZZ_SECONDS ?= 30

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(STAMPS)/run $(PAGES) ## Install what is needed, then start the server with a demo stream (ARGS="...")
	@exec $(BIN)/openstreamer serve $(ARGS)

.PHONY: venv
venv: $(STAMPS)/dev ## Make .venv with everything that running, testing and developing need

.PHONY: pages
pages: $(PAGES) ## Build the start page and the player page

.PHONY: test
test: $(STAMPS)/system-test $(STAMPS)/dev $(PAGES) lint ## Install what tests need; lint, types, contracts, tests, coverage
	@$(BIN)/coverage erase
	$(MAKE) --no-print-directory --jobs=2 test-e2e test-minutes
	$(PYTEST) -m "e2e and alone"

# Unit tests wait half of their time: two at a time for each core. A file of end-to-end tests shares servers.
.PHONY: test-units test-hostile test-e2e test-minutes
test-units:
	$(PYTEST) -n 4 --dist worksteal -m "not e2e and not hostile" --cov --cov-report=
	$(BIN)/python scripts/coverage_gate.py

# Attackers send as fast as the machine can: nothing else would keep its time beside them.
test-hostile: test-units
	$(PYTEST) -q -m hostile

test-e2e: test-hostile
	$(PYTEST) -n 2 --dist loadfile -m "e2e and not alone and not minutes"

# Five minutes of one stream: it waits for what comes, and the others run meanwhile.
test-minutes:
	$(PYTEST) -q -m minutes

.PHONY: lint
lint: $(STAMPS)/dev $(STAMPS)/web-dev ## Style, types and import contracts of Python and TypeScript
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	npm --prefix web run --silent check

.PHONY: bench
bench: $(STAMPS)/system-bench $(STAMPS)/dev $(PAGES) ## Measure CPU, memory and latency; a table and JSON in bench/results
	$(BIN)/python -m bench $(ARGS)

.PHONY: peers
peers: $(STAMPS)/system-test $(STAMPS)/dev $(PAGES) ## Play every source from a real peer for a minute each, in a browser; a table and JSON
	$(BIN)/python -m tests.peers $(ARGS)

.PHONY: fuzz
fuzz: $(STAMPS)/dev ## Fuzz every parser for FUZZ_SECONDS each (30)
	$(BIN)/python fuzz/run.py --seconds $(FUZZ_SECONDS) $(ARGS)

.PHONY: lock
lock: $(STAMPS)/dev ## Choose the newest allowed versions of all dependencies and write the lock files
	scripts/lock.sh

.PHONY: clean
clean: ## Remove everything that the other targets made, except data/
	rm -rf $(VENV) $(STAMPS) web/node_modules web/build src/openstreamer/control/pages/dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz .coverage .coverage.* htmlcov build dist
	find src tests bench fuzz scripts -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# -- how things come to be --------------------------------------------------------------------------

$(STAMPS)/system-%: scripts/system_packages.sh
	@PYTHON=$(PYTHON) scripts/system_packages.sh $*
	@mkdir -p $(STAMPS) && touch $@

$(BIN)/python: | $(STAMPS)/system-run
	@$(PYTHON) -m venv $(VENV)

$(STAMPS)/run: requirements-build.lock requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked dependencies into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements-dev.lock $(STAMPS)/run
	@echo "Installing what tests and development need"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# Running needs the bundler only; the type checker (web-dev) comes on top of it.
$(STAMPS)/web: web/package.json web/package-lock.json | $(STAMPS)/system-run
	@npm --prefix web ci --omit=dev --silent
	@mkdir -p $(STAMPS) && rm -f $(STAMPS)/web-dev && touch $@

$(STAMPS)/web-dev: $(STAMPS)/web
	@npm --prefix web ci --silent
	@touch $@

$(PAGES): $(WEB_SOURCES) | $(STAMPS)/web
	@echo "Building the pages"
	@npm --prefix web run --silent build
