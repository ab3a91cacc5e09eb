# Everything starts from a bare checkout: the first run installs into .venv, later runs reuse it.
#   make demo SECONDS=60 BOOTSTRAP=localhost:9092
#   make test PYTHON=/opt/python3.12/bin/python3

.DEFAULT_GOAL := help
.PHONY: help demo check test chaos lint types bench clean kernels

BIN := .venv/bin
PYTHON_CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3 python)

# Test files are dealt out to two processes in the order of their names; conftest.py keeps those with a Kafka together.
WORKERS ?= 2
PYTEST := exec $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Prints what pip is doing where it takes time (downloads of a megabyte and more, unpacking) and leaves out the rest;
# errors come through on stderr. The last line carries pip's exit code past the pipe.
define install
@echo "Installing $(1) into .venv. The first time this downloads 200 MB, needs 800 MB of disk and takes a few minutes."
@{ PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
	--constraint constraints.txt --editable '.[$(2)]'; echo "exit $$?"; } \
	| { while read -r line; do case "$$line" in \
		"exit "*) exit "$${line#exit }" ;; \
		Downloading*MB*) echo "  $$line" ;; \
		"Installing collected packages"*) echo "  Unpacking and compiling" ;; \
	esac; done; exit 1; }
endef

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile
	@echo "PYTHON=/path/to/python3 says which Python (3.11 or newer) .venv is made from."

# `exec`, so that Ctrl-C reaches the program itself and make waits for its clean-up.
demo: .venv/demo-installed ## run the demo (SECONDS=60 ends it after a minute, BOOTSTRAP=host:port uses that Kafka)
	@exec $(BIN)/betapack demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP))

check: lint types kernels ## the inner loop: lint, types and the unit tests, without the slow ones and without Kafka
	@$(PYTEST) -m "not slow and not kafka"
	@echo "Left out: tests marked slow (more than a second of processor time) or kafka. All of them: make test"
	@echo "One kind of them: $(BIN)/python -m pytest -m slow, or -m kafka; one file: $(BIN)/python -m pytest tests/..."

test: lint types kernels ## everything: lint, types and all tests, with a Kafka of their own
	@$(PYTEST)

chaos: .venv/dev-installed kernels ## a hundred thousand hostile records through an Apache Kafka of its own (RECORDS=1000, SEED=2)
	@BETAPACK_CHAOS_RECORDS=$(or $(RECORDS),100000) BETAPACK_CHAOS_SEED=$(or $(SEED),1) \
		exec $(BIN)/python -m pytest tests/integration/test_hostile_records.py

lint: .venv/dev-installed ## ruff: rules and formatting; import-linter: who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: .venv/dev-installed ## mypy --strict
	$(BIN)/mypy

bench: .venv/bench-installed ## measure on this machine (SUBJECT=packing, hedging, models, gate, validation, desk or stream alone)
	@exec $(BIN)/betapack bench $(SUBJECT) $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP)) $(if $(DATA),--data $(DATA))

clean: ## remove .venv, build products and caches
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find stream solver schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Compiled ahead, as an installation does: no test and no service under test waits for it.
kernels: .venv/dev-installed
	@echo "Compiling the numeric kernels"
	@$(BIN)/betapack warm

.venv/created:
	@for python in $(PYTHON_CANDIDATES); do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Creating .venv with $$("$$python" --version)."; \
			"$$python" -m venv .venv && touch $@; exit; \
		fi; \
	done; \
	echo "betapack needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv);" >&2; \
	echo "tried $(subst ",,$(PYTHON_CANDIDATES)). Name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 1

.venv/demo-installed: .venv/created pyproject.toml constraints.txt
	$(call install,betapack and its demo,demo)
	@echo "Compiling the numeric kernels"
	@$(BIN)/betapack warm
	@touch $@

.venv/bench-installed: .venv/created pyproject.toml constraints.txt
	$(call install,betapack and its benchmarks,bench)
	@touch .venv/demo-installed $@

# What the tests need includes what the demo and the benchmarks need.
.venv/dev-installed: .venv/created pyproject.toml constraints.txt
	$(call install,betapack and its development tools,dev)
	@touch .venv/demo-installed .venv/bench-installed $@
