# What is done often. `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: help up down status logs clean environment test test-faults soak soak-alerts check asyncapi openapi format lock

BIN := .venv/bin
ENVIRONMENT := PYTHON='$(PYTHON)' sh cli/stack/environment.sh
WAS_USED := [ -d .mbus ] || [ -x $(BIN)/mbus ]
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

up: environment ## Start the whole stack in the background: servers, services, a demo tenant, a simulator
	@$(BIN)/mbus up

down: ## Stop what `make up` started; the data stays
	@if $(WAS_USED); then $(ENVIRONMENT) && $(BIN)/mbus down; else echo "Nothing runs here."; fi

status: environment ## Say what runs, where, since when, and how much is stored and waiting
	@$(BIN)/mbus status

logs: environment ## Show the last lines of all logs; ARGS="ingest -f" follows one
	@$(BIN)/mbus logs $(ARGS)

clean: ## Stop the stack and remove its data, secrets and logs
	@if $(WAS_USED); then $(ENVIRONMENT) && $(BIN)/mbus down --remove-data; else echo "Nothing is here."; fi

environment: ## Make .venv from the locked requirements, where it is missing or outdated
	@$(ENVIRONMENT)

test: environment ## Run every test on real servers; ARGS="-k word" chooses
	@$(BIN)/python -m pytest $(ARGS)

test-faults: environment ## Kill ingest and break its servers, and look for every reading; ARGS="--seed 7 -k word"
	@$(BIN)/python -m pytest -m faults tests/faults $(ARGS)

soak: environment ## Break everything around ingest for long, as chance has it; ARGS="--minutes 10 --seed 7"
	@$(BIN)/python -m tests.faults.soak $(ARGS)

soak-alerts: environment ## Compare the rules of alerts with a naive model for long; ARGS="--steps 100000 --seed 7"
	@$(BIN)/python -m tests.services.alerts.machine $(ARGS)

check: environment ## Check format, style, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

asyncapi: environment ## Write docs/asyncapi.json anew, after a change of messages or topology
	@$(BIN)/mbus asyncapi docs/asyncapi.json

openapi: environment ## Write docs/openapi/*.json anew, after a change of routes, parameters or answers
	@$(BIN)/mbus openapi docs/openapi/query.json
	@$(BIN)/mbus openapi docs/openapi/alerts.json --service alerts

format: environment ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Choose the newest versions of all packages anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv"; exit 1; }
	$(LOCK) --upgrade --output-file requirements.txt
	$(LOCK) --upgrade --group dev --constraints requirements.txt --output-file requirements-dev.txt
