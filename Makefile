# Two commands do everything on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 3  # of the tests, on two cores: one of them often waits for a process
ARGS ?=

.PHONY: train test quick lint docs structure gallery drills bench clean

train: $(VENV)/installed  ## train ILVF-P on MPE Encircle (ARGS="env.n_agents=10 ..." for more)
	$(BIN)/python recipes/ilvf_p.py $(ARGS)

test: lint  ## style, types and all tests, on two cores (WORKERS=n for more or fewer)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

quick: lint  ## style, types and the tests that take less than about two seconds each
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed  ## build the site into site/; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

structure: $(VENV)/installed  ## print the structure's figures beside their goals
	$(BIN)/python tools/structure.py

gallery: $(VENV)/installed  ## the pictures of docs/gallery.md
	$(BIN)/python tools/gallery.py $(ARGS)

drills: $(VENV)/installed  ## kills, store faults, payloads, bad inputs, a soak; half an hour
	$(BIN)/python tools/drills.py $(ARGS)

bench: $(VENV)/installed  ## the tables of the speed page (OLD=COMMIT for those of a commit beside them)
	$(BIN)/python benchmarks/bench.py $(if $(OLD),--old $(OLD)) $(ARGS)

# Modules are compiled when they are first imported: most of what is installed never is.
# The variable forbids that, and many containers set it; then every process would compile all anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --quiet --no-compile

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	$(INSTALL) --constraint constraints.txt --editable ".[dev]"
	$(INSTALL) --constraint constraints.txt --no-deps benchmarl
	touch $@

clean:  ## remove the environment (runs stay)
	rm -rf $(VENV)
