# Every target sets up what it needs; `make` alone lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
BENCHMARKS := $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the package, its tests and the pinned dependencies

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: $(READY) ## everything end to end on phantom lesions, under 3 minutes
	rm -rf demo-run
	$(BIN)/dermapair demo --out demo-run

test: $(READY) ## run the tests; ARGS="-k word" narrows them
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 $(ARGS)

check: $(READY) ## format, lint, types, order of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_architecture.py

bench: .venv/.bench ## speed beside peers: every script in benchmarks/
	@test -n "$(BENCHMARKS)" || { echo "benchmarks/ holds no script"; exit 1; }
	@set -e; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script; done
