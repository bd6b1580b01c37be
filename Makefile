# make demo · make test · make test-kills · make lint · make bench: each sets itself up.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-kills lint bench docs

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/snakemake --cores $(CORES)
	@echo "Read results/leaderboard.csv and open results/report.html"

test: $(READY)
	$(BIN)/python -m pytest

test-kills: $(READY)
	$(BIN)/python -m tests.kills --kills 30 --seed 0

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m tags2masks.config.reference --check

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python -m tags2masks.config.reference

