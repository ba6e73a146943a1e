# irefuda. `make run` brings up the practice city, `make test` proves everything; each sets the machine up by itself.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest -q
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run check test test-core test-agent test-quick test-sqlite test-postgres test-browser manual lint format bench soak package lock clean

help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(VENV)/.installed ## install what is missing: Debian packages, the virtual environment

$(VENV)/.installed: requirements.lock core/pyproject.toml agent/pyproject.toml server/pyproject.toml tools/debian_packages.txt tools/setup.sh
	@bash tools/setup.sh $(VENV)
	@touch $@

run: setup ## start the practice city: web, card agent, mail, ledger; prints the address
	@exec $(PY) tools/run.py

check: setup lint test-core test-quick ## an answer within 2 minutes: lint, rulebook, operations and journeys on SQLite

test: setup lint test-core test-agent test-sqlite test-postgres test-browser ## everything

test-core: setup ## the rulebook and the verifier
	$(PYTEST) core/tests -n $(WORKERS)

test-agent: setup ## the companion program, with SoftHSM2 and the virtual card
	$(PYTEST) agent/tests -n $(WORKERS)

test-quick: setup ## the server on SQLite without what starts, kills or races processes
	$(PYTEST) server/tests -m "not browser and not soak and not slow" -n $(WORKERS)

test-sqlite: setup ## the server on SQLite
	$(PYTEST) server/tests -m "not browser and not soak" -n $(WORKERS)

# Once is enough, and test-sqlite is that once: these read sources and documents, or bring a cluster of their own.
NO_ENGINE := $(addprefix --ignore=server/tests/,$(addprefix rules_of_the_house/,test_distributions.py test_documents.py \
  test_sources.py test_templates.py) deploy/test_roles.py deploy/test_units.py)
test-postgres: setup ## the server on a PostgreSQL cluster of its own
	$(PY) tools/postgres.py -- $(PYTEST) server/tests $(NO_ENGINE) -m "not browser and not soak" -n $(WORKERS)

# A file stays with one worker: its tests share a city, and every city has ports of its own.
test-browser: setup ## the pages in Chromium, with the real agent and a real token
	$(PYTEST) server/tests -m browser -n $(WORKERS) --dist loadfile

manual: setup ## walk through every screen of the manual and take its pictures again
	MANUAL=write $(PYTEST) server/tests/browser/test_manual_browser.py -k every_screen

lint: setup ## ruff, mypy, import contracts, migrations, deployment check
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	. tools/test_env.sh && $(VENV)/bin/mypy core/src agent/src server/src
	$(VENV)/bin/lint-imports --no-cache
	. tools/test_env.sh && $(PY) server/manage.py makemigrations --check --dry-run
	. tools/deploy_env.sh && for site in supplier staff; do IREFUDA_SITE=$$site $(PY) server/manage.py check --deploy --fail-level WARNING || exit 1; done

format: setup ## let ruff lay out the code
	$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

bench: setup ## measure against a floor in the same run
	$(PY) bench/run.py

soak: setup ## the tests that need very many rows or connections, on both engines
	$(PYTEST) server/tests/soak -m soak
	$(PY) tools/postgres.py -- $(PYTEST) server/tests/soak -m soak

package: setup ## build the card agent's .deb for Debian 12 into var/packages
	$(PY) agent/packaging/build_deb.py var/packages

lock: ## make the lock file again from requirements/*.in (needs uv)
	cd requirements && uv pip compile --universal --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header dev.in -o ../requirements.lock

clean: ## forget the practice city and every cache (the virtual environment stays)
	rm -rf var .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
