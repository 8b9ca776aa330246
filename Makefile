# Nine verbs; each makes what it needs and is quick the second time.
#   make run     run the demo            make check   everything that has to hold before a commit
#   make test    run the quick tests     make bench   speed, next to the peers, as ratios
#   make format  put the code in shape   make docs    write docs/reference/options.md anew
#   make clean   remove what make made   make test-all  the slow tests too
#   make lab     run the tests that need a kernel of their own, in a virtual machine

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Tests mostly wait for processes and sockets, so more of them than cores run at a time.
PYTEST := $(BIN)/python -m pytest -q -n 4 --dist worksteal
# CI runs all in the developer mode of Python, which takes 1.2 times the CPU; the variable, unlike
# `-X dev`, reaches the processes that run the tests.  Its checks of memory are for C, take 0.2 more
# and would find nothing of ours.
FULL   := PYTHONDEVMODE=1 PYTHONMALLOC=default $(PYTEST)
QUICK  := $(PYTEST) -m "not slow"

# Some hundred Python processes would compile Portline anew each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-all check format docs bench lab clean

help:
	@sed -n 's/^#   /  /p' Makefile

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Portline needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fast]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fast,dev]'
	@touch $@

run: $(VENV)/.run
	@$(BIN)/portline demo

test: $(VENV)/.dev
	$(QUICK)

test-all: $(VENV)/.dev
	$(FULL)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(PORTLINE_TESTS_REQUIRE),$(FULL),$(QUICK))

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.run
	$(BIN)/python -m portline.config.reference > docs/reference/options.md.new
	mv docs/reference/options.md.new docs/reference/options.md

bench: $(VENV)/.run
	$(BIN)/python -m bench

lab: $(VENV)/.dev
	$(BIN)/python -m lab

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/build bench/results lab/build
	find src tests bench lab -name __pycache__ -prune -exec rm -r {} +
