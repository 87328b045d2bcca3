# Every target installs what it needs into .venv; nothing outside the project is written.
# Needed on the machine: Python 3.11 or newer (with its venv module), git, make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# 2 test processes, one thread each: the suite is made for 2 cores.
WORKERS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.DEFAULT_GOAL := help
.PHONY: help run test lint check torture test-services bench up down promote-demo docs constraints

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/.run ## Raw text to a promoted model: the whole pipeline on the quickstart corpus
	@$(BIN)/bertops run

test: $(VENV)/.test check ## Everything a change must pass: lint, types, import floors, tests
	@$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not service and not torture and not gpu"

check: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

lint: $(VENV)/.test ## Format and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

torture: $(VENV)/.test ## Kill the trainer 100 times and compare with an untouched run (long)
	@$(ONE_THREAD) $(BIN)/python -m pytest -m torture --timeout 7200

test-services: $(VENV)/.test ## Faults against real servers, workers, remotes and clusters, on loopback (long)
	@$(PIP) install -c constraints.txt -e '.[flows,quickstart,dev,services,ray,browser]'
	@$(ONE_THREAD) $(BIN)/python -m pytest -m "service or fault" --timeout 1800
	@$(BIN)/python -m pytest tests/browser

bench: $(VENV)/.test ## Measure this machine: benchmarks/results/
	@for name in corpus tokenizing pretraining finetuning inference memorization; do $(BIN)/python -m benchmarks.$$name || exit 1; done

up: $(VENV)/.services ## Start a Prefect server and worker, an MLflow server (and PostgreSQL where installed)
	@$(BIN)/bertops up

down: $(VENV)/.run ## Stop what `make up` started
	@$(BIN)/bertops down

promote-demo: $(VENV)/.run ## A promotion, a refusal, a rollback and their history, on throw-away models
	@$(BIN)/python -m examples.promotion

docs: $(VENV)/.test ## Write the reference pages anew from the code
	@$(BIN)/python -m docs.generate

constraints: ## Renew constraints.txt from the lower bounds in pyproject.toml
	@$(PYTHON) -m venv --clear build/constraints
	@build/constraints/bin/python -m pip --disable-pip-version-check --quiet install -e '.[flows,quickstart,dev,services,kubernetes,browser,ray,chinese,web,presidio]'
	@sed -n '/^#/p' constraints.txt > build/constraints.txt
	@build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' >> build/constraints.txt
	@mv build/constraints.txt constraints.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# A stamp is written after pip is done, so an interrupted installation is begun again.
$(VENV)/.run: $(VENV)/bin/python constraints.txt pyproject.toml
	@echo "Installing pinned dependencies into $(VENV) (minutes the first time) ..." >&2
	@$(PIP) install -c constraints.txt -e '.[flows,quickstart]'
	@touch $@

$(VENV)/.services: $(VENV)/.run
	@$(PIP) install -c constraints.txt -e '.[flows,quickstart,servers,remotes]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(PIP) install -c constraints.txt -e '.[flows,quickstart,dev]'
	@touch $@
