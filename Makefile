# `make run` and `make test` do all their own set-up. Needs: make, Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: .venv/.installed ## the server on http://127.0.0.1:8000 with its own PostgreSQL and demo data
	@$(BIN)/fhir-server serve --demo

test: .venv/.dev ## every test
	@$(BIN)/python -m pytest -n $$((2 * $$(nproc))) --dist loadfile

check: .venv/.dev ## format, lint, types, imports, generated files, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m fhir_server.definitions.generate --check
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python .ci/dependencies.py

dependencies: .venv/.dev ## bill of materials in build/bom.json, and known vulnerabilities
	@$(BIN)/python .ci/dependencies.py

format: .venv/.dev ## rewrites the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: .venv/.dev ## rewrites the generated reference pages in docs/
	@$(BIN)/python docs/generate.py

bench: .venv/.dev ## speed against a bare floor; raw runs go to bench/results/
	@$(BIN)/python -m bench

fuzz: .venv/.dev ## the property tests, fifty times as hard
	@FHIR_SERVER_TEST_EFFORT=50 $(BIN)/python -m pytest -n auto -m hypothesis

chaos: .venv/.dev ## faults for real, under load, for minutes; prints what was lost (nothing)
	@FHIR_SERVER_TEST_CHAOS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=0 \
		--durations-min=5 tests/chaos

clean: ## removes what was built and installed here; keeps data/
	@rm -rf .venv build dist .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@sh .ci/venv $(PYTHON)

.venv/.installed: .venv/bin/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/.installed

.PHONY: help run test check dependencies format docs bench fuzz chaos clean
