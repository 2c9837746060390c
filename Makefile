# `make demo` and `make test` set everything up from nothing; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-slow test-fork fuzz coverage mutation lint docs clean
help:
	@echo "make demo       train SGSeg on real textures, compare it, leave pictures (5 to 8 minutes)"
	@echo "make test       lint, types and all fast tests"
	@echo "make test-slow  the long proofs"
	@echo "make test-fork  the fast tests on the maintained fork of mmengine, in its own environment"
	@echo "make fuzz       5,000 new examples each of damaged images and config overrides"
	@echo "make coverage   lines and branches of sgseg/ that the fast tests run"
	@echo "make mutation   share of small changes to ops/ and evaluation/ that a test notices"
	@echo "make docs       build docs/_build/html"

$(STAMP): requirements/lock.txt requirements/features.txt requirements/app.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements/features.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements/app.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP)

demo: setup
	$(BIN)/python tools/demo.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses 2 --dist worksteal

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow --numprocesses 2

FORK := .venv-fork
$(FORK)/.installed: requirements/lock.txt requirements/features.txt requirements/app.txt pyproject.toml
	$(PYTHON) -m venv $(FORK)
	$(FORK)/bin/python -m pip install --quiet --requirement requirements/lock.txt
	$(FORK)/bin/python -m pip install --quiet --no-deps --requirement requirements/features.txt
	$(FORK)/bin/python -m pip install --quiet --no-deps --requirement requirements/app.txt
	$(FORK)/bin/python -m pip uninstall --quiet --yes mmengine
	$(FORK)/bin/python -m pip install --quiet --no-deps onedl-mmengine==0.10.12
	$(FORK)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

test-fork: $(FORK)/.installed
	OMP_NUM_THREADS=1 $(FORK)/bin/pytest -m "not slow" --numprocesses 2

fuzz: setup
	SGSEG_FUZZ=5000 OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 tests/reliability/test_fuzz.py

coverage: setup
	$(BIN)/python -m pip install --quiet pytest-cov
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses 2 --cov=sgseg --cov-report=term

# All of them take most of an hour; one module: make mutation MUTANTS='sgseg.ops.matching*'
MUTANTS :=
mutation: setup
	$(BIN)/python -m pip install --quiet mutmut==3.8.1
	OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run --max-children 2 $(MUTANTS)

docs: setup
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) $(FORK) build dist docs/_build *.egg-info
