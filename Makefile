PYTHON ?= python3
PORT ?= 8501
HOST ?= localhost
VENV := .venv

# `make test PYTHON=python3.13` beside an environment of another Python makes one of its own.
ifeq ($(origin PYTHON),command line)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifneq ($(wildcard .venv/bin/python),)
ifeq ($(wildcard .venv/bin/python$(VERSION)),)
VENV := .venv-$(VERSION)
endif
endif
endif
BIN := $(VENV)/bin

.PHONY: install run test check bench format clean

install: $(VENV)/.installed

# Reinstalls when the pins or the project's metadata change.
$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --upgrade pip
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@

run: install
	$(BIN)/har serve --port $(PORT) --host $(HOST)

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/hadolint Dockerfile

# With HAR_DATASET also on real photographs; BENCH_ARGS="--only single" measures a part.
bench: install
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-* .har_cache .pytest_cache .mypy_cache .ruff_cache
