# Everything a developer or a newcomer runs. Needs make and a Python >= 3.11 with venv, nothing else.

VENV ?= .venv
PYTHON ?=
WORKERS ?= 2
ROUNDS ?= 100
BIN := $(VENV)/bin
SOURCES := gateway protocols config tts speech

# The caller's Python settings must not reach into this environment.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
export PYTHONUTF8 = 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench crash interop speech clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/.installed ## Make .venv, whose bin/ holds `gateway`
	@echo "Ready: $(BIN)/gateway --help"

demo: $(VENV)/.installed ## Start the gateway with a simulated carrier and show what it does
	@$(BIN)/gateway demo

test: $(VENV)/.developing ## Run all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: $(VENV)/.developing ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

bench: $(VENV)/.developing ## Measure speed on this machine
	$(BIN)/python -m bench $(ARGS)

crash: $(VENV)/.developing ## Repeat the crash tests, ROUNDS=100 times each
	CRASH_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m crash $(ARGS)

speech: $(VENV)/.listening ## Check that callers would understand what is said
	$(BIN)/python -m speech $(ARGS)

interop: $(VENV)/.developing ## Test against node-smpp, smpplib, Kannel, SIPp, baresip and Kamailio, which it installs; WRITE=1 writes docs/interop.md
	@sh tests/interop/install
	$(BIN)/python -m pytest -m interop --maxfail=10 tests/interop $(if $(WRITE),--interop-write) $(ARGS)

clean: ## Remove .venv and everything that the other targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	rm -rf tests/interop/node/node_modules
	find $(SOURCES) $(wildcard tests bench) -name __pycache__ -type d -prune -exec rm -rf {} +

# A marker is written last, so that an interrupted installation starts over.
$(VENV)/.installed: pyproject.toml
	@python=$$(sh .ci/find-python $(PYTHON)) && \
	echo "Making $(VENV) with $$python" && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@echo "Installing the gateway and what it needs; the first time takes a minute or two"
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@echo "Installing the tools for tests and checks"
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.listening: $(VENV)/.developing
	@echo "Installing an offline recogniser"
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev,speech]'
	@touch $@
