# Two commands do everything on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: train test lint bench clean

train: $(VENV)/installed  ## train ILVF-P on MPE Encircle (ARGS="env.n_agents=10 ..." for more)
	$(BIN)/python recipes/ilvf_p.py $(ARGS)

test: $(VENV)/installed  ## style, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/installed  ## what the README's speed table is made by
	$(BIN)/python benchmarks/collect.py
	$(BIN)/python benchmarks/envs.py
	$(BIN)/python benchmarks/update.py
	$(BIN)/python benchmarks/large_teams.py

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:  ## remove the environment (runs stay)
	rm -rf $(VENV)
