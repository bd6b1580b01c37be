# make demo · make test · make test-slow · make test-whole · make test-slurm · make test-kills ·
# make lint · make bench: each sets itself up.
PYTHON ?= python3
CORES ?= 2
KILLS ?= 30
# A second set-up goes on with the torch of the first.
SYSTEM_TORCH ?= $(shell grep -s 'include-system-site-packages = true' .venv/pyvenv.cfg)
TORCH_INDEX ?=
INSTALL ?= --editable '.[dev,onnx]'
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
TORCH := ^torch(vision)?==
READY := .venv/.ready

.PHONY: setup demo test test-slow test-whole test-slurm slurm-packages test-kills lint bench docs

setup: $(READY)

# SYSTEM_TORCH=1: the torch and torchvision that PYTHON has, whatever their versions, stay as they are.
# TORCH_INDEX=URL: those of constraints.txt, from another package index. See docs/install.md.
# --no-compile: a third of the time; of some 15,000 modules Python compiles those that it imports.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv$(if $(SYSTEM_TORCH), --system-site-packages) .venv
ifneq ($(SYSTEM_TORCH),)
	grep -vE '$(TORCH)' constraints.txt >.venv/constraints.txt
	$(PIP) list --format freeze | grep -E '$(TORCH)' >>.venv/constraints.txt || true
	@[ "$$(grep -cE '$(TORCH)' .venv/constraints.txt)" = 2 ] || { echo "error: SYSTEM_TORCH=1, but" \
		"$(PYTHON) does not have both torch and torchvision; install them there, or set up" \
		"without SYSTEM_TORCH" >&2; exit 1; }
else
	cp constraints.txt .venv/constraints.txt
endif
ifneq ($(TORCH_INDEX),)
	$(PIP) install --quiet --no-compile --index-url '$(TORCH_INDEX)' $$(grep -E '$(TORCH)' constraints.txt)
endif
	$(PIP) install --quiet --no-compile --constraint .venv/constraints.txt $(INSTALL)
	touch $@

demo: $(READY)
	$(BIN)/snakemake --cores $(CORES)
	@echo "Read results/leaderboard.csv and open results/report.html"

# A process per core, each with one numeric thread. A file's tests stay together, and the files with
# whole runs come first, so that both processes end at the same time.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

# What takes long for reasons of its own: thousands of damaged files, crashes in the middle of runs,
# the walk through docs/add-a-method.md, whole chains of single methods, runs of several seeds or
# rounds, and the benchmarks' tests.
test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile -m slow

# Small configs of papers/ as they are: minutes each.
test-whole: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) -m whole

# A real Slurm on this machine, in a folder of its own.
test-slurm: $(READY) slurm-packages
	$(BIN)/python -m pytest -m slurm tests/slurm -s

# Root installs them; the tests tell others what to install.
slurm-packages:
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -x /usr/sbin/slurmctld ]; then \
		export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq \
		--no-install-recommends slurmctld slurmd slurm-client munge >/dev/null; fi

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

