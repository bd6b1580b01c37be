# make demo · make test · make test-slow · make test-slurm · make test-kills · make lint · make bench:
# each sets itself up.
PYTHON ?= python3
CORES ?= 2
KILLS ?= 30
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-slow test-slurm test-kills lint bench docs

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[dev,onnx]'
	touch $@

demo: $(READY)
	$(BIN)/snakemake --cores $(CORES)
	@echo "Read results/leaderboard.csv and open results/report.html"

# A process per core, each with one numeric thread. A file's tests stay together, and the files with
# whole runs come first, so that both processes end at the same time.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

# What takes long for reasons of its own: thousands of damaged files, crashes in the middle of runs,
# the walk through docs/add-a-method.md, runs of several seeds or rounds, and the benchmarks' tests.
test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile -m slow

# A real Slurm on this machine, in a folder of its own. Root installs it; others are told what to.
test-slurm: $(READY)
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -x /usr/sbin/slurmctld ]; then \
		export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq \
		--no-install-recommends slurmctld slurmd slurm-client munge >/dev/null; fi
	$(BIN)/python -m pytest -m slurm tests/slurm -s

test-kills: $(READY)
	$(BIN)/python -m tests.kills --kills $(KILLS) --seed 0

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m tags2masks.config.reference --check
	$(BIN)/python -m tags2masks.config.papers --check
	$(BIN)/python -m tags2masks.workflow.architecture --check

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python -m tags2masks.config.reference
	$(BIN)/python -m tags2masks.config.papers
	$(BIN)/python -m tags2masks.workflow.architecture

