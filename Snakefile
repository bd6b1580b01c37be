# From tagged images to masks: see README.md, docs/paths.md for the wildcards, docs/config.md for
# every option. Stages are in rules/, one rule per method; what they run is in workflow_scripts/.
import atexit
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, workflow.basedir)

from tags2masks.config.reading import read_config, refusal
from tags2masks.errors import UserError
from tags2masks.methods import methods_of, rule_of
from tags2masks.stages import STAGES, figured, giving, measured
from tags2masks.workflow import started
from tags2masks.workflow.environment import has_gpu, use_checkout
from tags2masks.workflow.failed import failures
from tags2masks.workflow.params import options, scaled, source, text_digest
from tags2masks.workflow.plan import Plan, input_options
from tags2masks.workflow.torch_builds import versions
from tags2masks.workflow.warned import warnings

# A dangling link counts: what it should have named is not the example that comes with the workflow.
DEFAULT = "config.yaml" if os.path.lexists("config.yaml") else f"{workflow.basedir}/config.yaml"

try:
    # Snakemake reads them too, but takes the last of two equal keys.
    for file in workflow.overwrite_configfiles or [DEFAULT]:
        read_config(file)
except UserError as error:
    sys.exit(refusal(error))

if not workflow.overwrite_configfiles:

    configfile: DEFAULT


started.begin(workflow.is_main_process)  # before the plan, which asks for params
try:
    plan = Plan(config)
    for line in plan.replaced() if workflow.is_main_process else ():
        print(line, file=sys.stderr)
except UserError as error:
    sys.exit(refusal(error))

if workflow.is_main_process:
    try:
        TORCH, TORCHVISION = versions()
    except UserError as error:
        sys.exit(f"error: {error}")

use_checkout(workflow.basedir)

TRAIN = "results/{dataset}/train.csv"
VAL = "results/{dataset}/val.csv"
CLASSES = "results/{dataset}/classes.txt"
TRUTH = "results/{dataset}/truth.csv"
ID = "[a-z0-9_]+-[0-9a-f]{8}"
THREADS = plan.config.threads
SWEEP = ["results/sweep.csv"] if plan.config.sweep else []
GROUPS = ["results/groups.csv"] if plan.config.report.class_groups else []
GPUS = plan.config.devices if plan.config.device != "cpu" else 0

# On one machine: without a limit Snakemake starts as many GPU jobs at once as the cores allow, all
# on the first GPU. `--resources gpu=2` lets two in.
if workflow.is_main_process and workflow.local_exec and "gpu" not in workflow.global_resources:
    if GPUS and (plan.config.device == "cuda" or has_gpu()):
        workflow.register_resource("gpu", GPUS)


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_.-]*",
    id=ID,
    shard="(val-)?[0-9]+",  # of maps and masks of val, see evaluation.splits
    of="(val-)?",  # of their figures, likewise


localrules:
    all,
    collect,
    collect_plausibility,
    correlate,
    correlate_doubts,
    describe,
    export_masks,
    group_classes,
    lineage,
    outline,
    predict,


onstart:
    if workflow.is_main_process:
        print(
            f"torch {TORCH}, torchvision {TORCHVISION}; device: {plan.config.device}",
            file=sys.stderr,
        )


onerror:
    # At the exit: Snakemake has more lines to say after this, none of them about why.
    if workflow.is_main_process and (lines := failures(log)):
        atexit.register(print, *lines, sep="\n", file=sys.stderr)


onsuccess:
    if workflow.is_main_process:
        # Here, since pandas is slow to import.
        from tags2masks.report.times import write_times
        from tags2masks.workflow.times import times_table

        try:
            write_times(times_table(plan.artifacts.values(), Path("logs")), Path("logs"))
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
        if lines := warnings("results/warnings.csv", plan.datasets()):
            atexit.register(print, *lines, sep="\n", file=sys.stderr)


rule all:
    default_target: True
    input:
        "results/metrics.csv",
        "results/leaderboard.csv",
        "results/warnings.csv",
        "results/report.html",
        "results/plausibility.csv",
        SWEEP,
        GROUPS,
        plan.sheets,
        plan.asked,
        plan.lineages,
        # Asked for by name: Snakemake makes no absent file for the sake of what is there.
        plan.outline_file,
        plan.description_files,


include: "rules/data.smk"
include: "rules/methods.smk"
include: "rules/measuring.smk"
include: "rules/analyses.smk"
include: "rules/plausibility.smk"
include: "rules/summary.smk"
include: "rules/report.smk"
include: "rules/export.smk"
