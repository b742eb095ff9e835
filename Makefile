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

# Of `make model`.
DATASET ?= $(HAR_DATASET)
BACKBONE ?= imagenet
NAME ?= refitted3
MODELS := $(or $(HAR_MODELS_DIR),models)
LITE2 := runs/efficientnet_lite2.keras

# A finished run is left alone, an interrupted one goes on.
define train
test -f "$(MODELS)/$(1)/bundle.json" || $(BIN)/python -m har_core train --dataset "$(DATASET)" --name "$(1)" \
	$$(test ! -f "runs/$(1)/settings.json" || echo --resume)
endef

.PHONY: install run test check bench model format clean

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

# The shipped model's twelve runs; docs/training.md explains them. The same command goes on after an interruption.
model: install
	@test -f "$(TEACHER)" || { echo "Usage: make model DATASET=folder TEACHER=efficientnet-lite2.pth (docs/training.md)"; exit 2; }
	mkdir -p runs
	test -f $(LITE2) || $(BIN)/python -m har_core.training.efficientnet_lite "$(TEACHER)" $(LITE2)
	$(call train,plain) --backbone-weights "$(BACKBONE)" --epochs 10 --small-epochs 0 \
		--frozen-blocks 0 --learning-rate 1e-4
	$(call train,teacher_lite2) --backbone-weights $(LITE2) \
		--head-epochs 2 --epochs 7 --small-epochs 6 --learning-rate 1.5e-4 --mixup 0
	$(call train,distilled) --backbone-weights "$(MODELS)/plain/model.keras" --head-epochs 2 \
		--teacher teacher_lite2 --teacher plain
	$(call train,teacher2_lite2) --backbone-weights "$(MODELS)/teacher_lite2/model.keras" \
		--head-epochs 1 --epochs 3 --small-epochs 0 --learning-rate 1e-4 \
		--teacher distilled --teacher-weight 0.5
	$(call train,distilled2) --backbone-weights "$(MODELS)/distilled/model.keras" \
		--head-epochs 2 --epochs 7 --small-epochs 0 --learning-rate 1.2e-4 \
		--teacher teacher2_lite2 --teacher distilled --teacher-weight 0.8
	$(call train,distilled3) --backbone-weights "$(MODELS)/distilled2/model.keras" \
		--head-epochs 2 --epochs 12 --small-epochs 0 --learning-rate 1.5e-4 \
		--teacher teacher_lite2 --teacher teacher2_lite2 --teacher distilled2 --teacher-weight 0.8
	$(call train,teacher3_lite2) --backbone-weights $(LITE2) \
		--head-epochs 2 --epochs 8 --small-epochs 4 --learning-rate 2e-4 --mixup 0 \
		--teacher distilled3 --teacher-weight 0.6
	$(call train,distilled4) --backbone-weights "$(MODELS)/distilled3/model.keras" \
		--head-epochs 2 --epochs 9 --small-epochs 0 --learning-rate 1.5e-4 \
		--teacher teacher3_lite2 --teacher distilled3 --teacher-weight 0.8
	$(call train,refitted) --refit --backbone-weights "$(MODELS)/distilled3/model.keras" \
		--head-epochs 2 --epochs 9 --small-epochs 0 --learning-rate 1.5e-4 \
		--teacher teacher3_lite2 --teacher distilled3 --teacher-weight 0.8
	$(call train,teacher4_lite2) --refit --backbone-weights "$(MODELS)/teacher3_lite2/model.keras" \
		--head-epochs 1 --epochs 4 --small-epochs 0 --learning-rate 1e-4 --mixup 0 \
		--teacher refitted --teacher-weight 0.6
	$(call train,refitted2) --refit --backbone-weights "$(MODELS)/refitted/model.keras" \
		--head-epochs 2 --epochs 14 --small-epochs 0 --learning-rate 1.5e-4 \
		--teacher teacher4_lite2 --teacher refitted --teacher-weight 0.8
	$(call train,$(NAME)) --refit --backbone-weights "$(MODELS)/refitted2/model.keras" \
		--head-epochs 2 --epochs 14 --small-epochs 0 --learning-rate 1.5e-4 \
		--teacher teacher4_lite2 --teacher refitted2 --teacher-weight 0.8 \
		--temperature-of distilled4

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-* .har_cache .pytest_cache .mypy_cache .ruff_cache
