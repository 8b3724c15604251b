# `make demo` and `make test` need nothing but Python 3.12 or later: they make the environment first.
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(shell for python in python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$python; \
	done))
BIN := .venv/bin
READY := .venv/.ready
CODE := ance_plugin evaluation tests examples

# Libraries are compiled as they are first imported, once; compiling all of them takes a minute.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env demo test testall check fix lint types fast clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

env: $(READY) ## make the environment in .venv, demo and development extras included

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.12 or later found; give PYTHON=path" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --no-deps -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: env ## the main job on an embedded collection: BM25, dense and hybrid, judged
	$(BIN)/python examples/demo.py

test: env ## the tests, but for those that take minutes each
	$(BIN)/python -m pytest --run-java --run-slow

testall: env ## every test a machine without a network can run
	$(BIN)/python -m pytest --run-java --run-slow --run-long

check: lint types fast ## what to run before a commit

lint: env ## style
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types: env ## static types
	$(BIN)/mypy ance_plugin evaluation examples

fast: env ## the tests that take seconds, without Java
	$(BIN)/python -m pytest

fix: env ## format, and mend what can be mended safely
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

clean: ## remove the environment and what the demo made
	rm -rf .venv demo .mypy_cache .pytest_cache .ruff_cache
