# `make` prints this list. LINEWORK_HOME (default ./var) and LINEWORK_PORT (default 8000) choose the stack.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCAL := $(BIN)/python -m linework_local
SMOKE := var/smoke
SOURCES := $(wildcard libs/*/src services/*/src deploy/*/src)
PROJECTS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help venv demo up down status logs test test-upgrade lint format smoke

help:  ## print this list
	@echo "Linework. LINEWORK_HOME (all state, ./var) and LINEWORK_PORT (8000) choose the stack."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## start it all, load a sample corpus, search it; the stack stays up
	@$(LOCAL) demo

up: $(INSTALLED)  ## start the stack and return when it is ready
	@$(LOCAL) up

down: $(INSTALLED)  ## stop the stack; its data stays
	@$(LOCAL) down

status: $(INSTALLED)  ## show the processes and whether the gateway is ready
	@$(LOCAL) status

logs: $(INSTALLED)  ## show the end of every log (make logs ARGS=-f goes on)
	@$(LOCAL) logs $(ARGS)

test: $(INSTALLED)  ## the whole suite, on Postgres and Redis that it starts itself, a process a core (ARGS=… for pytest)
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-upgrade: $(INSTALLED)  ## the previous release's suite on a database of this one (ARGS='--from v1.2')
	$(BIN)/python -m tests.upgrade $(ARGS)

smoke: $(SMOKE)/.installed  ## try an installation: BASE_URL=… API_KEY=… (RESTART='docker compose restart')
	@$(SMOKE)/bin/python deploy/smoke/smoke.py

lint: $(INSTALLED)  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES) deploy/smoke
	$(BIN)/lint-imports

format: $(INSTALLED)  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(INSTALLED)  ## make .venv from the pinned requirements

# Torch goes first, so that its build is chosen before anything asks for "some torch"
$(INSTALLED): $(wildcard requirements/*.txt) $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Linework needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@echo "Installing the pinned requirements into $(VENV); the first time takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements/torch-cpu.txt -c requirements/constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements/dev.txt
	@touch $@

$(SMOKE)/.installed: requirements/smoke.txt requirements/constraints.txt
	$(PYTHON) -m venv $(SMOKE)
	$(SMOKE)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/smoke.txt
	@touch $@
