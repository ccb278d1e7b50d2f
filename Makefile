# The commands of the project. Each one prepares what it needs, once, and says what it cannot have.
#   make demo     a relay you can watch, in a few seconds
#   make test     everything that must hold before a change is handed over
# ARGS goes to the program behind the command:  make test ARGS="tests/unit -k url"   make demo ARGS="--seconds 15"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test quick durations lint format lock docs bench check-fresh clean

BIN := .venv/bin
# Tests wait for servers while others compute: three processes a core, which share them as tests/kit/processes.py says.
CORES := $(shell getconf _NPROCESSORS_ONLN)
JOBS ?= $(shell echo $$((3 * $(CORES))))
# These compute.
QUICK_JOBS ?= $(CORES)
REPORT := build/tests.xml
# What an earlier run noted as failed is not what this one did.
IN_CI := $(if $(filter true,$(CI)),--cache-clear)
ARGS ?=
BENCH ?= density

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## make a clip, relay it in a loop into a receiver, judge what arrived
	@scripts/venv.sh run
	@$(BIN)/streamferry demo $(ARGS)

test: ## the whole test tree in random order, and lint
	@# What has one thread goes on beside others: apt beside pip, and mypy, a minute the first time, beside the tests.
	@scripts/tools.sh & tools=$$!; scripts/venv.sh dev || { wait $$tools; exit 1; }; mkdir -p build; \
	$(MAKE) --no-print-directory lint >build/lint.log 2>&1 & lint=$$!; \
	wait $$tools || { wait $$lint; exit 1; }; status=0; \
	$(BIN)/python -m pytest --processes $(JOBS) --junitxml $(REPORT) $(IN_CI) $(ARGS) \
	    || scripts/failed-again.sh $$? || status=$$?; \
	wait $$lint || { cat build/lint.log; echo 'lint has failed' >&2; status=1; }; exit $$status

quick: ## unit, property and loopback tests, but for modules of which a test takes its time
	@scripts/venv.sh dev
	@$(BIN)/python -m pytest --quick --processes $(QUICK_JOBS) tests/unit tests/property tests/loopback $(ARGS)

durations: ## keep how long the tests of the last "make test" took, so that the next one is shared out by it
	@PYTHONPATH=tests $(BIN)/python -m kit.balance $(REPORT)

lint: ## ruff, formatting, mypy --strict, import contracts
	@scripts/venv.sh dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; echo 'run: make format' >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

lock: ## pin what deployments install, with hashes (ARGS=--upgrade: the newest that pyproject.toml allows)
	@scripts/lock.sh $(ARGS)

format: ## apply formatting and the fixes ruff is sure of
	@scripts/venv.sh dev
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

docs: ## the documents as a site, in build/site; every link in them has to lead somewhere
	@scripts/venv.sh dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'build/site/index.html'

bench: ## CPU and memory a stream, beside ffmpeg, nginx-rtmp and HAProxy in one run; BENCH=NAME: another of bench/
	@scripts/venv.sh dev
	@scripts/tools.sh
	@$(BIN)/python bench/$(BENCH).py $(ARGS)

check-fresh: ## make demo and make test in a new clone of HEAD, as a stranger would
	@scripts/check-fresh.sh

clean: ## remove what these commands made
	rm -rf .venv tests/kit/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
