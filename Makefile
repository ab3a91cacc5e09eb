# Everything starts from a bare checkout: the first run installs into .venv, later runs reuse it.
#   make demo SECONDS=60 BOOTSTRAP=localhost:9092
#   make test PYTHON=/opt/python3.12/bin/python3

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench clean

BIN := .venv/bin
PYTHON_CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3 python)

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
	@echo "make demo   run the demo (SECONDS=60 ends it after a minute, BOOTSTRAP=host:port uses that Kafka)"
	@echo "make test   lint, types, and all tests, with a Kafka of their own"
	@echo "make lint   ruff: rules and formatting; import-linter: who may import whom"
	@echo "make types  mypy --strict"
	@echo "make bench  measure on this machine (SUBJECT=packing, hedging, models, validation, desk or stream alone)"
	@echo "make clean  remove .venv, build products and caches"
	@echo "PYTHON=/path/to/python3 says which Python (3.11 or newer) .venv is made from."

# `exec`, so that Ctrl-C reaches the program itself and make waits for its clean-up.
demo: .venv/demo-installed
	@exec $(BIN)/betapack demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP))

# Compiled ahead, as an installation does: no test and no service under test waits for it.
test: lint types
	@echo "Compiling the numeric kernels"
	@$(BIN)/betapack warm
	@exec $(BIN)/python -m pytest

lint: .venv/dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: .venv/dev-installed
	$(BIN)/mypy

bench: .venv/bench-installed
	@exec $(BIN)/betapack bench $(SUBJECT) $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP)) $(if $(DATA),--data $(DATA))

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find stream solver schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

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
