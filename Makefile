# Each target sets itself up in .venv; `make demo` and `make test` are all a newcomer needs.
# Choose the interpreter with `make PYTHON=/path/to/python3.12 demo`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo-output
NAME ?= radiative
RECIPE ?= release
# Files in the order of their names: with those of few tests last, one worker waits for the slowest of all.
SPREAD := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A version manager may leave a `python3.12` on the PATH that does not run: ask each one.
PYTHON ?= $(shell for candidate in python3.12 python3.13 python3.11 python3 python; do \
	if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	>/dev/null 2>&1; then echo $$candidate; break; fi; done)

# uv takes half a minute for what takes pip three. Where it cannot be had or used, pip does the same.
PIP = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
install = if ! { $(PIP) 'uv==0.13.9' && UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" \
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -c requirements.lock -e $(1); }; then \
	$(PIP) -c requirements.lock -e $(1); fi

.PHONY: help demo test notebooks docs test-lowest test-upstream coverage lint format bench train lock clean
help:
	@echo "make demo    a simulated granule from STAC item to Zarr store and map (in $(OUTPUT)/)"
	@echo "make test    the test suite"
	@echo "make notebooks   all notebooks, executed (in build/notebooks/)"
	@echo "make docs    the documentation (in build/docs/); after make notebooks with pictures"
	@echo "make lint    ruff, mypy and codespell"
	@echo "make test-lowest   the tests with the lowest versions that pyproject.toml allows"
	@echo "make coverage      the tests, and which lines they ran"
	@echo "make bench   one benchmark: make bench NAME=radiative"
	@echo "make train   the teacher's search and training: make train RECIPE=release"

demo: $(VENV)/.base
	$(BIN)/aktes demo --output $(OUTPUT)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(SPREAD)

notebooks: $(VENV)/.dev
	AKTES_NOTEBOOKS=$(CURDIR)/build/notebooks $(BIN)/python -m pytest tests/test_notebooks.py

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet notebooks build/docs
	@echo "build/docs/index.html"

# The lowest versions that pyproject.toml allows, in an environment of its own (it needs uv).
test-lowest:
	@command -v uv >/dev/null || { echo "make test-lowest needs uv: pip install uv" >&2; exit 1; }
	uv venv --quiet --seed --clear --python $(PYTHON) $(VENV)-lowest
	uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct -e '.[dev]'
	$(VENV)-lowest/bin/python -m pytest $(SPREAD)

# What the dependencies will be: their pre-releases, in an environment of its own.
test-upstream: $(VENV)/.python
	$(PYTHON) -m venv $(VENV)-upstream
	$(VENV)-upstream/bin/python -m pip install --quiet --pre --upgrade -e '.[dev]'
	$(VENV)-upstream/bin/python -m pytest $(SPREAD)

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term:skip-covered

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell aktes_xr tests notebooks deploy catalogs README.md CONTRIBUTING.md CHANGELOG.md

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/aktes bench $(NAME)

train: $(VENV)/.base
	$(BIN)/aktes train teacher --recipe $(RECIPE)

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-upstream build notebooks/reference/generated .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One lock serves every supported Python; it names versions, never an index.
lock:
	uv pip compile --universal --python-version 3.11 --extra dev --extra docs --extra jobs --extra bench --extra earthdata \
		--no-header --no-annotate --quiet pyproject.toml --output-file requirements.lock

$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "aktes_xr needs Python 3.11, 3.12 or 3.13 with venv: none found on the PATH; install one, or run make PYTHON=/path/to/python TARGET" >&2; \
		exit 1; fi
	@if ! $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
		echo "aktes_xr needs Python 3.11, 3.12 or 3.13 with venv: '$(PYTHON)' is not one" >&2; exit 1; fi
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(VENV)/.python pyproject.toml requirements.lock
	@echo "Installing aktes_xr into $(VENV) (about 2.7 GB, a minute or two) ..."
	@$(call install,.)
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml requirements.lock
	@echo "Installing aktes_xr and its development tools into $(VENV) (about 3 GB, a minute or two) ..."
	@$(call install,'.[dev]')
	@touch $@ $(VENV)/.base

$(VENV)/.docs: $(VENV)/.python pyproject.toml requirements.lock
	@$(call install,'.[docs]')
	@touch $@ $(VENV)/.base

$(VENV)/.bench: $(VENV)/.python pyproject.toml requirements.lock
	@$(call install,'.[bench]')
	@$(PIP) --no-deps 'rvt-py==2.2.3'
	@touch $@ $(VENV)/.base
