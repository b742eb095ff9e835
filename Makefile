PYTHON ?= python3
PORT ?= 8501
# Not from the environment: tcsh and conda set a HOST, and other machines would be let in.
HOST := localhost
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
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# An environment is of use only in the folder and with the Python that it was made for.
IDENTITY := import os, sys; print(os.getcwdb(), sys.version_info[:2])
ifeq ($(shell test ! -s $(STAMP) || $(BIN)/python -E -c '$(IDENTITY)' 2>&1 | cmp -s - $(STAMP) || echo no),no)
.PHONY: $(STAMP)
KEPT := false
else
KEPT := $(BIN)/python -m pip --version >/dev/null 2>&1
endif

# What these name would stand in for what is installed here.
unexport PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET
export PIP_USER := 0

.PHONY: install run test check bench format clean

install: $(STAMP)

# Reinstalls when the pins or the project's metadata change; what was interrupted goes on.
$(STAMP): requirements.txt pyproject.toml
	@$(KEPT) || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; try: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@$(KEPT) || { echo "Installing into $(VENV); downloads about 700 MB."; $(PYTHON) -m venv --clear $(VENV); }
	@$(BIN)/python .ci/interrupted.py
	@$(PIP) --upgrade pip && $(PIP) -r requirements.txt && $(PIP) --no-deps -e . || \
		{ echo "Not installed; the reason is above. Needed are the network (behind a proxy: HTTPS_PROXY)," \
		"4 GB here and 1 GB in $${TMPDIR:-/tmp}. 'make $(MAKECMDGOALS)' goes on."; exit 1; }
	@$(BIN)/python -c '$(IDENTITY)' > $@

run: install
	$(BIN)/python -m har_core serve --port $(PORT) --host $(HOST)

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
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
