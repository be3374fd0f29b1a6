# The commands of this repository; docs/operations.md explains each. Only Python (3.11 or newer) and make are needed.

PORT ?= 5000
BIN := .venv/bin
# Python that is there already answers fastest; the first time it is the machine's own.
PYTHON = $$([ -x $(BIN)/python ] && echo $(BIN)/python || echo python3)
SETUP = command -v python3 >/dev/null || { echo "Python 3.11 or newer is needed and python3 was not found. Debian, Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 1; }; \
	$(PYTHON) -I -S scripts/setup.py

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo client test test-services test-kill check check-style check-types check-layers check-client \
	check-locks bench lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | while IFS='|' read -r name words; do printf '  make %-14s %s\n' "$$name" "$$words"; done

setup:
	@$(SETUP)

setup-dev: ## what tests and checks need; done by them too (two or three minutes the first time)
	@$(SETUP) --dev

demo: setup ## the portal with two pharmacies, on http://localhost:5000 (PORT= RESET=1 EMPTY=1 FIRST_DAY=1 EHR=http://… SEED=1)
	@exec $(BIN)/portal demo --port $(PORT) $(if $(RESET),--reset) $(if $(EMPTY),--empty) $(if $(FIRST_DAY),--first-day) $(if $(EHR),--ehr "$(EHR)") $(if $(SEED),--seed)

client: setup-dev ## build the browser client (portal/static)
	@$(BIN)/python hatch_build.py

# A worker takes a file at a time: the long walks in the browser first, then the many small ones, so that both end together.
test: setup-dev ## every test that needs no server beside it, a real Chromium included
	@scripts/chromium.sh
	$(BIN)/node client/test.mjs
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not services"

# The walks through the demo bring SQLite with them and are the same with servers beside it: `make test` has them.
test-services: setup-dev ## everything on PostgreSQL, with Redis, HAPI FHIR, Keycloak and a mail server beside it
	@scripts/chromium.sh
	tests/services/run.sh $(BIN)/python -m pytest -n 2 --dist loadfile -m "services or not browser"

test-kill: setup-dev ## kill -9 in the middle of sends, 25 times at each of 8 points, on both databases
	tests/services/run.sh --only postgresql env PORTAL_TEST_KILLS=25 $(BIN)/python -m pytest tests/kill --timeout 3600

check: setup-dev ## ruff, mypy, import-linter, tsc: all strict; lock files in step with pyproject.toml
	@$(MAKE) --no-print-directory -k check-style check-types check-layers check-client check-locks

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types:
	$(BIN)/mypy

check-layers:
	$(BIN)/lint-imports

check-client:
	$(BIN)/node client/node_modules/typescript/bin/tsc -p client/tsconfig.json

check-locks:
	$(BIN)/python scripts/lock.py --check

bench: setup-dev ## measurements as JSON
	$(BIN)/python -m benchmarks

lock: setup-dev ## write requirements.lock, requirements-dev.lock and client/package-lock.json anew
	$(BIN)/python scripts/lock.py

clean: ## remove everything that was made: environment, built client, demo data
	rm -rf .venv var build dist portal/static client/node_modules .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results
