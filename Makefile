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

# The .pth line lets every program of this environment (dbt, notebooks, psql via Python) find the
# project's own PostgreSQL without exports: see ingestion/settings.py, adopt_embedded_server.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Clickmart needs Python 3.10 or newer; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...") if sys.version_info < (3, 10) else 0'
	@echo "Setting up $(VENV) (once) ..."
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV) && \
		uv pip install --quiet --python $(BIN)/python -r requirements.txt && \
		uv pip install --quiet --python $(BIN)/python --no-deps -e . ; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet -r requirements.txt && \
		$(BIN)/python -m pip install --quiet --no-deps -e . ; \
	fi
	@echo 'import ingestion.settings; ingestion.settings.adopt_embedded_server()' \
		> "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/clickmart.pth"
	@touch $@

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
