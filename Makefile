# Every command sets up what it needs. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Latchkey needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

setup: .venv/ready ## install everything into .venv
	@.ci/postgresql $(BIN)
	@.ci/node

demo: setup ## play the main job in the terminal, against a real PostgreSQL
	@$(BIN)/latchkey demo

test: setup ## run every test
	@$(BIN)/pytest

lint: .venv/ready ## ruff, format, strict types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

bench: setup ## measure, side by side, in one run
	@$(BIN)/python -m tests.benchmarks

clean: ## remove what was set up
	@rm -rf .venv tests/sandbox/js/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
