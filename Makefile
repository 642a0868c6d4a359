# Each target sets up what it needs on a machine that has Python 3.11+ and make; nothing is installed outside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DAGSTER_DISABLE_TELEMETRY ?= yes

.PHONY: help demo dev test compat check format fault alerts bench clean

help:  ## Show what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dataproducts needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[ui,retail,gx]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(DAGSTER_HOME)/dagster.yaml: resources/dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp $< $@

demo: $(VENV)/.demo $(DAGSTER_HOME)/dagster.yaml  ## Build every data product on real data and show the verdicts
	$(BIN)/dataproducts build retail $$(test -f ../shared/data/marketing/marketing_data.csv && echo marketing)

dev: $(VENV)/.demo $(DAGSTER_HOME)/dagster.yaml  ## Start Dagster's user interface on http://localhost:3000
	$(BIN)/dagster dev --workspace workspace.yaml

test: $(VENV)/.dev  ## Run every test
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

compat: $(VENV)/.dev  ## Run what computes on DuckDB 1.5 too
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/duckdb-1.5 'duckdb>=1.5.5,<1.6'
	PYTHONPATH=build/duckdb-1.5 $(BIN)/python -c 'import duckdb; assert duckdb.__version__.startswith("1.5"), duckdb.__version__'
	PYTHONPATH=build/duckdb-1.5 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal tests/test_gate.py \
	  tests/test_rules.py tests/test_sources.py tests/test_transform.py tests/test_store.py tests/test_serving.py tests/test_refresh.py \
	  tests/test_differential.py tests/test_footers.py tests/test_beyond.py

check: $(VENV)/.dev  ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## Rewrite the files as `check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fault: $(VENV)/.dev  ## Kill, fill and race the publisher for ten minutes
	$(BIN)/python -m pytest tests/test_fault.py --fault-seconds 600

alerts: $(VENV)/.dev  ## Kill Dagster's daemon fifty times and more while it sends alerts
	$(BIN)/python -m pytest tests/test_alerts_daemon.py --alert-rounds 10 -s

bench: $(VENV)/.dev  ## Time the gate beside its peers at 10 million rows
	$(BIN)/python -m benchmarks.gate

clean:  ## Forget releases and run history, keep the environment
	rm -rf .dagster .dataproducts
