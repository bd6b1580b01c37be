# The tables of all experiments.


# A file, because many experiments would not fit into an argument of a command.
rule outline:
    output:
        plan.outline_file,
    params:
        outline=plan.written_outline,
    message:
        "Write down the experiments"
    run:
        plan.write_outline()


rule lineage:
    input:
        outline=plan.outline_file,
        specs=[f"{a.folder}/spec.json" for a in plan.of_stage(*giving("network"))],
        shards=[f"{a.folder}/0.zarr.zip" for a in plan.of_stage(*giving("shards"))],
        tables=[f"{a.folder}/{STAGES[a.stage].file}" for a in plan.of_stage(*giving("table"))],
    output:
        plan.lineages,
    log:
        "logs/lineage.log",
    params:
        source=source("write_lineage"),
    message:
        "Write down what every artifact was made of"
    shell:
        "python -m workflow_scripts.write_lineage --outline {input.outline:q} --results results"
        " 2>&1 | tee {log:q}"


rule collect:
    input:
        outline=plan.outline_file,
        indexes=[
            f"results/{name}/{split}.csv" for name in plan.datasets() for split in ("train", "val")
        ],
        warnings=[
            f"results/{name}/{split}-warnings.csv" for name in plan.datasets() for split in SPLITS
        ],
        mask_warnings=[
            f"results/{name}/masks-warnings.csv" for name in plan.datasets(with_truth=True)
        ],
        training_warnings=plan.training_warnings,
        curves=[f"{a.folder}/training.csv" for a in plan.of_stage("classifier")],
        scores=[f"{a.folder}/{STAGES[a.stage].file}" for a in plan.of_stage("score")],
        metrics=plan.figures(),
        # A chain without masks to be measured against is still to be made.
        unmeasured=[
            shard for a in plan.of_stage(*giving("shards")) for shard in plan.shard_files(a)
        ],
    output:
        metrics=report("results/metrics.csv", category="Summary"),
        leaderboard=report("results/leaderboard.csv", category="Summary"),
        warnings=report("results/warnings.csv", category="Summary"),
    log:
        "logs/collect.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        source=source("collect"),
    message:
        "Collect the figures of all experiments"
    shell:
        "python -m workflow_scripts.collect --outline {input.outline:q} --results results"
        " --metrics {output.metrics:q} --leaderboard {output.leaderboard:q}"
        " --warnings {output.warnings:q} 2>&1 | tee {log:q}"


rule correlate:
    input:
        metrics="results/metrics.csv",
        properties=PROPERTIES,
    output:
        report("results/correlations.csv", category="Summary"),
    log:
        "logs/correlations.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        source=source("correlate"),
        datasets=plan.datasets(with_truth=True),
    message:
        "Correlate the classes' properties with their IoU"
    shell:
        "python -m workflow_scripts.correlate --metrics {input.metrics:q} --results results"
        " --datasets {params.datasets:q} --output {output:q} 2>&1 | tee {log:q}"


rule group_classes:
    input:
        outline=plan.outline_file,
        metrics="results/metrics.csv",
        properties=[f"results/{name}/properties.csv" for name in plan.config.report.class_groups],
        classes=[f"results/{name}/classes.txt" for name in plan.config.report.class_groups],
    output:
        report("results/groups.csv", category="Summary"),
    log:
        "logs/groups.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        source=source("group_classes"),
    message:
        "Average the figures over groups of classes"
    shell:
        "python -m workflow_scripts.group_classes --outline {input.outline:q}"
        " --metrics {input.metrics:q} --results results --output {output:q} 2>&1 | tee {log:q}"


# How well the doubts that are cast without true masks find the images that these are against.
rule correlate_doubts:
    input:
        outline=plan.outline_file,
        doubts=[f"{a.folder}/doubts.csv" for a in plan.with_truth(*figured("labels"))],
        images=[f"{a.folder}/images.csv" for a in plan.with_truth(*figured("labels"))],
    output:
        report("results/doubt_correlations.csv", category="Summary"),
    log:
        "logs/doubt_correlations.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        source=source("correlate_doubts"),
    message:
        "Correlate the doubts on images with their IoU"
    shell:
        "python -m workflow_scripts.correlate_doubts --outline {input.outline:q}"
        " --results results --output {output:q} 2>&1 | tee {log:q}"


rule sweep_table:
    input:
        outline=plan.outline_file,
        metrics="results/metrics.csv",
    output:
        report("results/sweep.csv", category="Summary"),
    log:
        "logs/sweep.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        source=source("tabulate_sweep"),
    message:
        "Put figures beside the values that were swept"
    shell:
        "python -m workflow_scripts.tabulate_sweep --outline {input.outline:q}"
        " --metrics {input.metrics:q} --output {output:q} 2>&1 | tee {log:q}"
