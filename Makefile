# Two commands for a newcomer: `make demo` and `make test`. Both install what is locked into .venv first.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
SPARK_VENV := .venv-spark
METRICS_VENV := .venv-metrics
FOCUS_VENV := .venv-focus
SUPERSET_VENV := .venv-superset
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
# The makefile never needs the keys of real APIs; what it starts gets one of its own.
unexport MIOSA_API_KEY
unexport STRIPE_API_KEY

.PHONY: help setup setup-dev setup-superset demo monthly test test-spark test-metrics test-focus test-superset test-full lint audit bench-build bench-deliver bench-extract bench-forecast bench-invoices bench-pace bench-quotas backup-ledger restore-ledger docs lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

setup: $(VENV)/.run-installed $(VENV)/.linked ## the .venv, with what the monthly job and the demo need
setup-dev: $(VENV)/.dev-installed $(VENV)/.linked ## the same, and what the tests and linters need

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: Python 3.11 or newer is needed; say which with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# dbt looks on its path for packages that it imports before it parses (dbt_miosa_billing).
$(VENV)/.linked: | $(BIN)/python
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/miosa_billing.pth"
	@touch $@

$(VENV)/.run-installed: requirements.lock | $(BIN)/python
	$(PIP_INSTALL) -r requirements.lock
	@touch $@

# The development lock holds all of the other one, so this satisfies both.
$(VENV)/.dev-installed: requirements-dev.lock requirements.lock | $(BIN)/python
	$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@ $(VENV)/.run-installed

demo: setup ## the whole path on a simulated API: extract, build, and the tables that come out
	@$(BIN)/python -m simulator.demo

# The key of the real API, for this target only; `extract` alone needs it.
monthly: export MIOSA_API_KEY := $(value MIOSA_API_KEY)
monthly: export PERIOD ?=
monthly: setup ## the monthly job: extract PERIOD=2026-10 (default: the last whole month), build, publish the marts
	@$(BIN)/python -m extract $${PERIOD:+--from "$$PERIOD" --to "$$PERIOD"}
	@$(BIN)/dbt build
	@$(BIN)/python -m publish marts

test: setup-dev lint ## every test: Python, whole runs, dbt unit and data tests
	$(BIN)/python -m pytest

# Spark is large, so it lives in an environment of its own, which holds all of the other one.
$(SPARK_VENV)/.installed: requirements-spark.lock
	$(PYTHON) -m venv $(SPARK_VENV)
	$(SPARK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

test-spark: $(SPARK_VENV)/.installed ## the same models on a Spark cluster of this machine: every mart as DuckDB's (needs Java 17)
	@java -version 2> /dev/null || { echo "make: Spark needs Java 17 or newer on the PATH"; exit 1; }
	$(SPARK_VENV)/bin/python -m pytest --numprocesses=0 tests/spark $(SPARK_TESTS)

# MetricFlow brings a planner of its own, so it lives in an environment of its own too.
$(METRICS_VENV)/.installed: requirements-metrics.lock
	$(PYTHON) -m venv $(METRICS_VENV)
	$(METRICS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

test-metrics: $(METRICS_VENV)/.installed ## every metric, queried by MetricFlow: the figure that the marts hold
	$(METRICS_VENV)/bin/python -m pytest --numprocesses=0 tests/metrics

# The official validator of FOCUS wants Python 3.12 and libraries of its own, so it lives in an environment of its own, too.
# The name alone proves nothing: pyenv has a python3.12 on the path that runs only where that version is chosen.
FOCUS_PYTHON ?= $(firstword $(shell python3.12 -c 'import sys; print(sys.executable)' 2> /dev/null) \
	$(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python3.12))
$(FOCUS_VENV)/.installed: requirements-focus.lock
	$(FOCUS_PYTHON) -m venv $(FOCUS_VENV)
	$(FOCUS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

ifeq ($(strip $(FOCUS_PYTHON)),)
test-focus: ## FOCUS exports by the official validator (needs Python 3.12; skipped without)
	@echo "make: test-focus is skipped: focus-validator needs Python 3.12; install it, or say where it is with FOCUS_PYTHON=/path/to/python3.12"
else
test-focus: setup-dev $(FOCUS_VENV)/.installed ## FOCUS exports by the official validator (needs Python 3.12; skipped without)
	$(BIN)/python -m pytest --numprocesses=0 tests/python/test_publish_focus.py
endif

# So does Superset, which wants SQLAlchemy 1.4 and DuckDB 1. The tests start it and talk to it from .venv.
$(SUPERSET_VENV)/.installed: requirements-superset.lock
	$(PYTHON) -m venv $(SUPERSET_VENV)
	$(SUPERSET_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

setup-superset: $(SUPERSET_VENV)/.installed ## .venv-superset, with Superset

test-superset: setup-dev $(SUPERSET_VENV)/.installed ## the dashboard at a running Superset: each chart shows what the marts hold
	$(BIN)/python -m pytest --numprocesses=0 tests/superset

test-full: setup-dev lint ## the same, with the long property tests (20,000 sessions, 5 seeds)
	$(BIN)/python -m pytest --full

lint: setup-dev ## ruff, mypy, sqlfluff and the rules of the dbt project
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.lint_sql
	$(BIN)/python -m tools.lint_project

audit: setup-dev ## locks have hashes, no secret in the tree, no SQL built from strings
	$(BIN)/python -m tools.audit

# dlt, the peer of the benchmark, lives in an environment of its own: it wants other versions than we do.
benchmarks/.dlt/.installed: benchmarks/requirements-dlt.lock
	$(PYTHON) -m venv benchmarks/.dlt
	benchmarks/.dlt/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench-extract: setup benchmarks/.dlt/.installed ## the extractor beside a bare loop and dlt (minutes)
	$(BIN)/python -m benchmarks.extract

# So do Polars and ClickHouse, the peers of the build.
benchmarks/.peers/.installed: benchmarks/requirements-peers.lock
	$(PYTHON) -m venv benchmarks/.peers
	benchmarks/.peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench-build: setup benchmarks/.peers/.installed ## builds of up to 100,000,000 sessions beside hand-written statements (hours, 60 GB of disk)
	$(BIN)/python -m benchmarks.build

bench-deliver: setup ## the report and the workbook of 100,000 users, on copies of the demo's marts (minutes)
	$(BIN)/python -m benchmarks.deliver

bench-forecast: setup ## the forecast of credits against what then came, by its own SQL (a minute)
	$(BIN)/python -m benchmarks.forecast

bench-invoices: setup ## PDF and CSV files of 2,000 invoices (a minute)
	$(BIN)/python -m benchmarks.invoices

bench-pace: setup ## the extractor against limits of 60 and 600 requests per minute (9 minutes)
	$(BIN)/python -m benchmarks.pace

bench-quotas: setup ## the quotas of 100,000 users at 10 ms latency (5 minutes)
	$(BIN)/python -m benchmarks.quotas

# The folder appears whole or not at all. Its name goes through the environment, so that it may hold any character.
backup-ledger: export TO ?= ledger-backups/$(shell date -u +%Y%m%dT%H%M%SZ)
backup-ledger: setup ## the closed periods as Parquet, into TO=folder
	@test ! -e "$$TO" || { echo "make: $$TO is there already; name another folder with TO="; exit 1; }
	@rm -rf "$$TO.new" && umask 077 && mkdir -p "$$TO.new"
	@umask 077 && LEDGER_FOLDER="$$TO.new" $(BIN)/dbt --quiet run-operation backup_ledger
	@mv "$$TO.new" "$$TO" && echo "The ledger is in $$TO."

restore-ledger: export FROM ?=
restore-ledger: setup ## closed periods from FROM=folder into a warehouse that has none
	@test -d "$$FROM" || { echo "make: name the folder of a backup with FROM="; exit 1; }
	@LEDGER_FOLDER="$$FROM" $(BIN)/dbt --quiet run-operation restore_ledger
	@echo "The ledger of $$FROM is restored. Next: dbt build"

docs: export WAREHOUSE_PATH ?= $(firstword $(wildcard warehouse.duckdb demo.duckdb) target/docs.duckdb)
docs: setup ## the documentation site of the warehouse, in target/static_index.html
	@mkdir -p target
	$(BIN)/dbt docs generate --static
	@echo 'Open target/static_index.html in a browser.'

lock: ## new lock files from pyproject.toml (needs uv)
	rm -f requirements.lock requirements-dev.lock requirements-spark.lock requirements-metrics.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header \
		pyproject.toml --extra dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header \
		pyproject.toml -c requirements-dev.lock -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header \
		pyproject.toml --extra dev --extra spark -c requirements-dev.lock -o requirements-spark.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header \
		pyproject.toml --extra dev --extra metrics -c requirements-dev.lock -o requirements-metrics.lock
	uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-strip-extras --no-header \
		requirements-focus.in -o requirements-focus.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header \
		requirements-superset.in -o requirements-superset.lock
	cd benchmarks && for peer in dlt peers; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-strip-extras --no-header requirements-$$peer.in -o requirements-$$peer.lock; done

clean: ## removes what builds and tests leave, not the .venv and no warehouse
	rm -rf target logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
