# Two commands for a fresh machine with Python >= 3.11 (and venv), git and make:
#   make verify   sets up a virtual environment, checks every claim, writes out/verify.html
#   make test     sets up the tests and passes them
# Variables: PYTHON (which interpreter makes the environment), VENV (where; no spaces in it), WORKERS (test processes), ARGS (passed on).

PYTHON  ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
             $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV    ?= .venv
WORKERS ?= auto
ARGS    ?=
BIN     := $(VENV)/bin
# build/ must go before an install: a module deleted from the source comes back from build/lib
INSTALL  = rm -rf build && $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: help verify test slow bench docs gallery lint types wheel-test check clean
help:
	@sed -n '1,4s/^# \{0,1\}//p' Makefile
	@echo "others: make slow | bench | docs | gallery | lint | types | wheel-test | check (what CI runs) | clean"

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed, and none was found; say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; say make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.report: $(VENV)/.made pyproject.toml setup.cfg
	$(INSTALL) '.[report]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml setup.cfg
	$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.report

$(VENV)/.lint: $(VENV)/.test
	$(INSTALL) '.[test,lint]'
	@touch $@

# the peers are large and not to be had everywhere; the tables say which one was missing
$(VENV)/.bench: $(VENV)/.report
	$(INSTALL) '.[report,bench]' || echo "the peers could not be installed: their rows will say so"
	@touch $@

verify: $(VENV)/.report
	@mkdir -p out
	$(BIN)/traindyn verify --html out/verify.html --json out/verify.json $(ARGS)

test: $(VENV)/.test
	$(BIN)/pytest -q -n $(WORKERS) --maxprocesses 8 --dist worksteal $(ARGS)

# minutes: random kills by the hundred, long runs
slow: $(VENV)/.test
	$(BIN)/pytest -q -m slow -n $(WORKERS) --maxprocesses 8 --dist worksteal $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(VENV)/.test
	$(BIN)/pytest -q tests/layout/test_docs.py tests/layout/test_doctests.py $(ARGS)

# draws every figure and experiment into docs (minutes); a killed run goes on when it is run again
gallery: $(VENV)/.report
	$(BIN)/python tools/gallery.py $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .

types: $(VENV)/.lint
	sh tools/typecheck.sh $(BIN)/mypy

wheel-test: $(VENV)/.made
	sh tools/wheel-test.sh $(BIN)/python $(ARGS)

check: test lint types wheel-test

clean:
	rm -rf $(VENV) build dist traindyn.egg-info .tc .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
