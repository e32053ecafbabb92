# Every target sets up what it needs in .venv and repeats in seconds. Python: `make PYTHON=python3.12 …` to choose one.
PYTHON ?= python3
VENV := .venv
# `make test MODELS=1` also installs PyTorch and real embedding weights; without it the tests that need them say they were skipped.
MODELS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint bench serve docs conformance clean
.DELETE_ON_ERROR:

demo: $(VENV)/.runtime ## index a folder, search it, compile a prompt, over real stdio
	$(BIN)/racto demo

serve: $(VENV)/.runtime ## the server over HTTP on http://127.0.0.1:8000/mcp (and /sse)
	$(BIN)/racto serve --transport http

test: lint ## lint, types, contracts and every test
	$(BIN)/python -m pytest

lint: $(VENV)/.dev $(if $(MODELS),$(VENV)/.models) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

bench: $(VENV)/.bench $(VENV)/.models ## every benchmark, side by side with its peers; tables and charts land in benchmarks/results
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev ## docs/reference.md from the code
	$(BIN)/python -m docs.build

conformance: $(VENV)/.dev ## the official MCP conformance suite, both revisions (needs npm)
	$(BIN)/python -m tests.conformance.run

clean: ## remove everything the targets above made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "racto needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing. On Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@$(PIP) --upgrade pip

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) --group dev
	@touch $@

$(VENV)/.models: $(VENV)/.dev
	$(PIP) torch==2.13.0
	$(PIP) --group models
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) --group bench
	@touch $@
