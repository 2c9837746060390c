# `make demo` and `make test` set everything up from nothing; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-slow lint docs clean
help:
	@echo "make demo       train SGSeg on real textures, compare it, leave pictures (5 minutes)"
	@echo "make test       lint, types and all fast tests"
	@echo "make test-slow  the long proofs"
	@echo "make docs       build docs/_build/html"

$(STAMP): requirements/lock.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP)

demo: setup
	$(BIN)/python tools/demo.py --work-dir work_dirs/demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses 2

test-slow: setup
	$(BIN)/pytest -m slow

docs: setup
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info
