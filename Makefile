# Everything a user or CI runs. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILE := uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"
# Each worker has a PostgreSQL and an engine of its own, and the tests of a file share what they
# made: so files, in their order, the short ones last, go to whoever is free.
WORKERS = $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n : 4)))
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup up changed test soak lint format docs bench score stop clean lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment with everything pinned

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) start.py setup

up: $(READY) ## The main job: database, events, warehouse, docs, site (ARGS="--sessions 50000" and the like)
	@$(BIN)/clickmart up $(ARGS)

changed: $(READY) ## Build and test the models edited since the last whole build, and what reads them
	@$(BIN)/clickmart build --changed

test: lint ## All checks: the linters, then every test; what runs in an engine, on both engines
	$(PYTEST) $(ARGS)
	@if $(BIN)/python -m ingestion.spark; then \
		echo "Once more on Apache Spark:"; \
		JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 CLICKMART_SPARK=local \
			$(PYTEST) -m both_engines; \
	else echo "Not run on Apache Spark: no Java 17 or newer is there."; fi

soak: $(READY) ## The long runs: kills at random times, hundreds of ways to split the events
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(READY) ## ruff, mypy, sqlfluff and yamllint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 0 warehouse/models tests/dbt analyses
	$(BIN)/yamllint --strict .

format: $(READY) ## Let ruff and sqlfluff mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix --processes 0 warehouse/models tests/dbt analyses

docs: $(READY) ## The dbt documentation with lineage, as one HTML file
	@$(BIN)/clickmart docs

score: $(READY) ## Score the marts against the generator's truth, row by row, at a million events
	@$(BIN)/python benchmarks/score.py $(ARGS)

bench: $(READY) ## Measure on this machine, and write docs/benchmarks.md anew
	@$(BIN)/python -m benchmarks.run $(ARGS)

stop: $(READY) ## Stop the embedded PostgreSQL
	@$(BIN)/clickmart db stop

clean: ## Remove the environment and all local state: the database and the lake with it
	@if [ -x $(BIN)/clickmart ]; then $(BIN)/clickmart db stop || true; fi
	rm -rf $(VENV) .clickmart target logs

lock: ## Compile both requirements.txt from the ranges in pyproject.toml (needs uv)
	$(COMPILE) --extra dev pyproject.toml -o requirements.txt
	$(COMPILE) --group pyproject.toml:bench -o benchmarks/requirements.txt
