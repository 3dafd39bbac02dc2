# Every command sets up what it needs. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin

# What is compiled is kept: tests start hundreds of processes, each of which would do it again. So
# would each of pytest's, were the tests not collected once before, where nothing is compiled yet.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup sandbox screenshots demo tools test matrix image-check fuzz lint bench chaos mutants clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Latchkey needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@.ci/install $(BIN) --constraint constraints.txt --editable '.[test]'
	@touch $@

setup: .venv/ready ## install everything into .venv
	@.ci/postgresql $(BIN)

sandbox: setup ## try everything in a browser; ARGS="--port 8080 --fresh"
	@$(BIN)/latchkey sandbox $(ARGS)

demo: setup ## play the main job in the terminal, against a real PostgreSQL
	@$(BIN)/latchkey demo

tools: setup # what only tests need
	@.ci/image $(BIN)
	@.ci/node
	@.ci/chromium
	@.ci/faketime
	@.ci/servers $(BIN) 15 18

test: tools ## run every test
	@ls tests/__pycache__/conftest.*-pytest-*.pyc >/dev/null 2>&1 \
		|| $(BIN)/pytest --collect-only --quiet >/dev/null || true
	@$(BIN)/pytest --numprocesses 6 --dist loadfile --no-loadscope-reorder

matrix: setup ## run all that concerns PostgreSQL on 15, 16, 17 and 18 in turn; ARGS="tests/…"
	@.ci/chromium
	@.ci/faketime
	@.ci/matrix $(BIN) $(ARGS)

image-check: setup ## check Dockerfile, examples and the wheel, as far as it goes without an engine
	@.ci/image $(BIN)
	@$(BIN)/pytest tests/image

fuzz: setup ## try hard input at every entrance, twenty times as much as the tests; ARGS="tests/…"
	@$(BIN)/pytest --numprocesses 2 --timeout 3600 --hypothesis-profile fuzz \
		$(or $(ARGS),tests/engine tests/bot/test_fuzz_door.py tests/bot/test_fuzz_files.py)

screenshots: setup ## draw the pictures that the docs show
	@.ci/chromium
	@$(BIN)/python -m tests.screenshots docs/images

lint: .venv/ready ## ruff, format, strict types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

.venv/bench: .venv/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,bench]'
	@touch $@

bench: setup .venv/bench ## measure, side by side, in one run
	@$(BIN)/python -m tests.benchmarks

.venv/mutants: .venv/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,mutants]'
	@touch $@

mutants: setup .venv/mutants ## change the code, and see that a test sees it; ARGS="--seed 7 engine.lifecycle"
	@.ci/servers $(BIN) 15 18
	@$(BIN)/python -m tests.mutants $(ARGS)

chaos: setup ## kill it 200 times under everybody's hands; then two and three replicas of it; then its model
	@$(BIN)/python -m tests.chaos
	@$(BIN)/python -m tests.chaos --replicas 2 --kills 100
	@$(BIN)/python -m tests.chaos --replicas 3 --kills 100
	@$(BIN)/python -m tests.chaos.soak 1000
	@$(BIN)/pytest --hypothesis-profile fuzz tests/engine/test_model.py

clean: ## remove what was set up
	@rm -rf .venv tests/sandbox/js/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
