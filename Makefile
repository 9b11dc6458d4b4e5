# The commands of the project. Everything is installed into .venv from a lock with hashes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard protos/hashmatch/v1/*.proto)
SERVICES := $(wildcard protos/hashmatch/v1/*_service.proto)

# Compiled kernels are kept here, so that no test and no server compiles them twice.
export NUMBA_CACHE_DIR := $(CURDIR)/.cache/numba

.PHONY: help demo serve test check torture bench bench-full bench-accept protos client lock format clean

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

test: check ## All that CI runs
	$(BIN)/python -m pytest
	$(BIN)/python -m tests.wheel

check: $(VENV)/installed ## Formatting, lint, types, imports and generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m protos.generate --check
	$(BIN)/python -m tools.sync_client --check
	$(BIN)/python -m docs.settings --check

torture: $(VENV)/installed ## The long forms: hostile and composed media, kills, crafted bytes
	HASHMATCH_TORTURE=1 $(BIN)/python -m pytest --timeout=0 tests/e2e/test_hostile_media.py \
	  tests/e2e/test_kills.py tests/e2e/test_probes.py tests/e2e/test_composed.py \
	  tests/e2e/test_long.py tests/e2e/test_access.py tests/e2e/test_cases.py \
	  tests/e2e/test_exports.py tests/e2e/test_imports.py tests/e2e/test_preview.py \
	  tests/e2e/test_seeds.py tests/e2e/test_two_persons.py tests/e2e/test_flood.py \
	  tests/e2e/test_several_servers.py
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
