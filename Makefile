# The commands of the project. Everything is installed into .venv from a lock with hashes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard protos/hashmatch/v1/*.proto)
SERVICES := $(wildcard protos/hashmatch/v1/*_service.proto)

# Compiled kernels are kept here, so that no test and no server compiles them twice.
export NUMBA_CACHE_DIR := $(CURDIR)/.cache/numba

.PHONY: help demo serve test check pytest wheel torture bench bench-full bench-accept protos client lock \
  format clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(VENV)/installed ## Screen clips end to end, and print what came of it
	$(BIN)/python -m examples.demo

serve: $(VENV)/installed ## Run a server on 127.0.0.1:50051 with its data in ./hashmatch-data
	$(BIN)/hashmatch serve

# Side by side, so that no core waits. pytest, which takes longest, prints as it goes (its "+"), the
# others print all that they have when they end. If one fails the rest still ends, then make does.
test: $(VENV)/installed ## All that CI runs: check, pytest and wheel at the same time
	$(MAKE) --no-print-directory --jobs=3 --output-sync=target check pytest wheel

pytest: $(VENV)/installed ## The tests
	+$(BIN)/python -m pytest

wheel: $(VENV)/installed ## Build the wheel, install it elsewhere, and try it
	$(BIN)/python -m tests.wheel

check: $(VENV)/installed ## Formatting, lint, types, imports and generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m protos.generate --check
	$(BIN)/python -m tools.sync_client --check
	$(BIN)/python -m docs.settings --check

torture: $(VENV)/installed ## The tests in their long forms, and crafted bytes for every parser
	HASHMATCH_TORTURE=1 $(BIN)/python -m pytest --timeout=0
	$(BIN)/python -m tests.fuzz --seconds 600

bench: $(VENV)/installed ## Measure, each figure against a yardstick of the same run
	$(BIN)/python -m benchmarks

bench-full: $(VENV)/installed ## Measure all of it, for longer
	$(BIN)/python -m benchmarks --full

bench-accept: $(VENV)/installed ## Make the runs of this tree the baseline: REASON="why"
	$(BIN)/python -m benchmarks --accept "$(REASON)"

protos: $(VENV)/installed ## Generate hashmatch/v1 from protos/
	$(BIN)/python -m protos.generate

client: $(VENV)/installed ## Generate the synchronous client from the one for asyncio
	$(BIN)/python -m tools.sync_client

lock: ## Renew requirements.lock (needs uv)
	uv pip compile --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --all-extras --group dev --upgrade \
	  pyproject.toml --output-file requirements.lock

format: $(VENV)/installed ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what was installed and built
	rm -rf $(VENV) .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
