# Every command of the project. `make` alone prints them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
EXTRAS := batch,train,evaluate,serve,dev

# What `make run` loads: the name of a dataset (docs/data.md), or a path to your own Parquet, CSV or JSONL.
DATASET ?= $(or $(FRESHET_DATASET),demo)
RESULTS ?=
# ONCE=1: leave with exit code 0 after the click.
ONCE ?=
KILLS ?= 200
REQUESTS ?= 12000
MINUTES ?= 20

# uv reads neither pip's configuration nor its variables: hand the links on.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_LINK_MODE ?= copy

.PHONY: help setup run ui test test-fast coverage lint format fuzz faults bench bench-data bench-train bench-update bench-serve \
        bench-soak profile-answers results-movielens results-retail results-goodbooks docs fresh-check clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install everything into .venv (nothing to do when it is up to date)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) commands/preflight.py
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@echo "installing Freshet into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(STAMP)

run: setup  ## the whole platform: DATASET=demo|movielens-small|…|PATH, ONCE=1 to leave after the click
	@$(BIN)/freshet run --dataset '$(DATASET)' $(if $(ONCE),--once)

ui: setup  ## the four windows over what is already there, without running the chain
	@$(BIN)/freshet run --windows-only

test: setup  ## all tests, the end-to-end ones through Airflow included
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder tests

test-fast: setup  ## the tests that take seconds
	@$(BIN)/python -m pytest -m 'not slow' tests

coverage: setup  ## how much of the code the tests of `make test-fast` run, file by file
	@$(BIN)/coverage run -m pytest -q -m 'not slow' tests
	@$(BIN)/coverage report

lint: setup  ## style, types, direction of imports, dead code, SQL and its names
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/vulture
	@$(BIN)/sqlfluff lint --processes 2 dbt
	@$(BIN)/python -m pytest -q --no-header tests/test_dbt_naming.py

format: setup  ## rewrite the code in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

fuzz: setup  ## 10,000 and more requests that the API's own document suggests, and bodies that nobody would: REQUESTS=12000
	@FUZZ_REQUESTS=$(REQUESTS) $(BIN)/python -m pytest tests/serving/test_fuzz.py

faults: setup  ## half an hour: kill -9 at random moments, then every part broken in turn, under load: KILLS=200
	@KILLS=$(KILLS) $(BIN)/python -m benchmarks.faults

bench: bench-data bench-train bench-update bench-serve  ## all benchmarks

bench-data: setup  ## rows per second from events to features, and the cost of 1 % of news: EVENTS=10000000
	@$(BIN)/python -m benchmarks.data

bench-train: setup  ## hours: seconds and memory of training by number of events: EVENTS=10000,30000 WORLD_ITEMS=2000 ITEMS=10000
	@$(BIN)/python -m benchmarks.train

bench-update: setup  ## an hour: what nightly updates keep of a whole training, and what they cost: DAYS=14
	@$(BIN)/python -m benchmarks.update

bench-serve: setup  ## speed of answers and events, beside an empty route: ITEMS=10000,100000,1000000
	@$(BIN)/python -m benchmarks.serve

bench-soak: setup  ## whether memory grows under a steady load of events and answers: MINUTES=20
	@MINUTES=$(MINUTES) $(BIN)/python -m benchmarks.soak

profile-answers: setup  ## two minutes: where the processor time of an answer goes, by stage
	@$(BIN)/python -m benchmarks.profile_answers

# RESULTS: options of `python -m benchmarks.results --help`, such as '--seeds 3' or '--trials 5 --sasrec-epochs 2'.
results-movielens: setup  ## hours: the tables of MovieLens-small in docs/results.md, from its files: RESULTS='--seeds 3'
	@$(BIN)/python -m benchmarks.results movielens $(RESULTS)

results-retail: setup  ## the same of Online Retail
	@$(BIN)/python -m benchmarks.results retail $(RESULTS)

results-goodbooks: setup  ## the same of goodbooks-10k
	@$(BIN)/python -m benchmarks.results goodbooks $(RESULTS)

docs: setup  ## the documentation as a site, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Exactly what the README says, in a clone that has nothing of this one, and with no setting of yours.
fresh-check:  ## half an hour and more: a fresh clone, in which the README's two commands must work
	@clone=$$(mktemp -d) && trap 'rm -rf "$$clone"' EXIT && git clone --quiet . "$$clone" && cd "$$clone" && \
	for command in 'make run ONCE=1' 'make test'; do \
	    grep -qF "\`$$command\`" README.md || { echo "the README does not say: $$command"; exit 1; }; \
	    echo "\$$ $$command"; \
	    env -u MAKEFLAGS -u MAKELEVEL $$(env | sed -n 's/^\(FRESHET_[A-Z_]*\)=.*/-u \1/p') $$command || exit 1; \
	done

# Only what Freshet itself writes there, so that a wrong FRESHET_HOME cannot cost more than it should.
clean:  ## forget everything that was computed (in FRESHET_HOME, default ./var)
	@cd "$${FRESHET_HOME:-var}" 2>/dev/null || { echo "nothing to remove"; exit 0; } ; \
	rm -rf log lake truth features feast mlflow airflow models dbt bench results logs lineage simulate.jsonl run.json run.lock world.json warehouse.duckdb* && \
	echo "removed what Freshet had computed in $$PWD"
