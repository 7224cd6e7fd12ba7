# The README's commands. `make` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint format bench-pool bench-selection table-deviation clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-16s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: pyproject.toml requirements/constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[demo]' && touch $@

$(VENV)/dev: pyproject.toml requirements/constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]' && touch $@

demo: $(VENV)/demo  ## install, then learn BBC news topics from 120 labels (minutes; no account, no model hub)
	$(BIN)/python -m lit_react fit --config configs/bbc_news.yaml

test: $(VENV)/dev  ## install, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile  # a thread per worker

test-slow: $(VENV)/dev  ## the long tests: 20 kills at random moments
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(VENV)/dev  ## ruff and mypy
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(VENV)/dev  ## ruff, mending
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench-pool: $(VENV)/dev  ## pool scoring against a bare PyTorch loop
	$(BIN)/python scripts/benchmarks/pool_scoring.py

bench-selection: $(VENV)/dev  ## seconds and memory of each strategy up to a million texts
	$(BIN)/python scripts/benchmarks/selection.py

table-deviation: $(VENV)/dev  ## what it costs to leave the prior rule early (frozen TREC-6, 4 seeds)
	$(BIN)/python scripts/tables/deviation.py

clean:  ## remove the environment and the caches, not the runs
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
