# Quality against pixel masks. These rules alone, and the report's, read truth.csv.
PROPERTIES = [f"results/{name}/properties.csv" for name in plan.datasets(with_truth=True)]
CORRELATIONS = ["results/correlations.csv"] if PROPERTIES else []


rule measure_maps:
    input:
        index=INDEX,
        classes=CLASSES,
        truth=TRUTH,
        shards=plan.shards("maps"),
        cams=plan.region_shards("maps"),
    output:
        metrics="results/{dataset}/maps/{id}/metrics.csv",
        curve=report(
            "results/{dataset}/maps/{id}/curve.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/maps/{id}/metrics.log",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_maps"),
        cam=plan.region_cam("maps"),
        localized=plan.localized,
        background_score=plan.setting("evaluation", "background_score"),
        thresholds=plan.setting("evaluation", "thresholds"),
        root=plan.truth_root,
        scheduler=plan.scheduler,
    message:
        "Measure the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_maps --recipe {params.recipe:q} --id {wildcards.id}"
        " --split train --background-score {params.background_score}"
        " --thresholds {params.thresholds} --root {params.root:q} {params.scheduler}"
        " --threads {threads} --index {input.index:q} --classes {input.classes:q}"
        " --truth {input.truth:q} --shards {input.shards:q} {params.cam} --cams {input.cams:q}"
        " {params.localized} --metrics {output.metrics:q} --curve {output.curve:q}"
        " 2>&1 | tee {log:q}"


rule measure_steps:
    input:
        index=INDEX,
        classes=CLASSES,
        truth=TRUTH,
        shards=plan.shards("maps"),
    output:
        report(
            "results/{dataset}/maps/{id}/steps.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/maps/{id}/steps.log",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_steps"),
        background_score=plan.setting("evaluation", "background_score"),
        localized=plan.localized,
        root=plan.truth_root,
        scheduler=plan.scheduler,
    message:
        "Measure the steps of {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_steps --recipe {params.recipe:q} --id {wildcards.id}"
        " --split train --background-score {params.background_score} --root {params.root:q}"
        " {params.scheduler} --threads {threads} --index {input.index:q}"
        " --classes {input.classes:q} --truth {input.truth:q} --shards {input.shards:q}"
        " {params.localized} --metrics {output:q} 2>&1 | tee {log:q}"


# Opt-in (evaluation.epoch_images). Nothing but the report takes what it writes.
rule measure_epochs:
    input:
        index=INDEX,
        classes=CLASSES,
        truth=TRUTH,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
    output:
        report(
            "results/{dataset}/maps/{id}/epochs.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/maps/{id}/epochs.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(360),
    params:
        recipe=plan.truth_recipe,
        maps=plan.recipe("maps"),
        source=plan.epochs_source,
        free=plan.free("maps"),
        counts=plan.epoch_counts,
        background_score=plan.setting("evaluation", "background_score"),
        thresholds=plan.setting("evaluation", "thresholds"),
        root=plan.truth_root,
        image_root=plan.root,
        machine=plan.machine,
        scheduler=plan.scheduler,
    message:
        "Measure the maps {wildcards.id} of {wildcards.dataset} after each epoch"
    shell:
        "python -m workflow_scripts.measure_epochs --recipe {params.recipe:q} --id {wildcards.id}"
        " --maps {params.maps:q} --free {params.free:q} {params.machine} --split train"
        " --background-score {params.background_score} --thresholds {params.thresholds}"
        " --root {params.root:q} --image-root {params.image_root:q} {params.scheduler}"
        " --threads {threads} --index {input.index:q} --classes {input.classes:q}"
        " --truth {input.truth:q} --model {input.model:q} --spec {input.spec:q} {params.counts}"
        " --metrics {output:q} 2>&1 | tee {log:q}"


rule measure_labels:
    input:
        index=INDEX,
        classes=CLASSES,
        truth=TRUTH,
        shards=lambda wildcards: plan.shards(wildcards.stage)(wildcards),
        cams=plan.region_shards(),
    output:
        metrics="results/{dataset}/{stage}/{id}/metrics.csv",
        images="results/{dataset}/{stage}/{id}/images.csv",
    log:
        "logs/{dataset}/{stage}/{id}/metrics.log",
    wildcard_constraints:
        stage="labels|masks|predictions",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_labels"),
        cam=plan.region_cam(),
        split=plan.measured_split,
        root=plan.truth_root,
        scheduler=plan.scheduler,
    message:
        "Measure the {wildcards.stage} {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_labels --recipe {params.recipe:q} --id {wildcards.id}"
        " --split {params.split} --root {params.root:q} {params.scheduler} --threads {threads}"
        " --index {input.index:q} --classes {input.classes:q} --truth {input.truth:q}"
        " --shards {input.shards:q} {params.cam} --cams {input.cams:q}"
        " --metrics {output.metrics:q} --images {output.images:q} 2>&1 | tee {log:q}"


rule measure_scores:
    input:
        index=INDEX,
        classes=CLASSES,
        truth=TRUTH,
        shards=plan.shards("masks"),
        maps=plan.upstream_shards("masks", "maps"),
        cams=plan.region_shards("masks"),
    output:
        metrics="results/{dataset}/masks/{id}/metrics.csv",
        images="results/{dataset}/masks/{id}/images.csv",
        curve=report(
            "results/{dataset}/masks/{id}/curve.csv",
            category="Masks",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/masks/{id}/metrics.log",
    wildcard_constraints:
        id=rf"({'|'.join(SWEPT)})-[0-9a-f]{{8}}",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        masks=plan.recipe("masks"),
        source=plan.scoring_source,
        cam=plan.region_cam("masks"),
        thresholds=plan.setting("evaluation", "thresholds"),
        root=plan.truth_root,
        image_root=plan.root,
        scheduler=plan.scheduler,
    message:
        "Measure the masks {wildcards.id} of {wildcards.dataset} and their scores"
    shell:
        "python -m workflow_scripts.measure_scores --recipe {params.recipe:q} --id {wildcards.id}"
        " --masks {params.masks:q} --split train --thresholds {params.thresholds}"
        " --root {params.root:q} --image-root {params.image_root:q} {params.scheduler}"
        " --threads {threads} --index {input.index:q} --classes {input.classes:q}"
        " --truth {input.truth:q} --shards {input.shards:q} --maps {input.maps:q} {params.cam}"
        " --cams {input.cams:q} --metrics {output.metrics:q} --images {output.images:q}"
        " --curve {output.curve:q} 2>&1 | tee {log:q}"


ruleorder: measure_scores > measure_labels


rule measure_classes:
    input:
        index=INDEX,
        classes=CLASSES,
        truth=TRUTH,
    output:
        report(
            "results/{dataset}/properties.csv",
            category="Data sets",
            labels={"data set": "{dataset}"},
        ),
    log:
        "logs/{dataset}/properties.log",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_classes"),
        root=plan.truth_root,
        scheduler=plan.scheduler,
    message:
        "Measure the classes of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_classes --recipe {params.recipe:q}"
        " --root {params.root:q} {params.scheduler} --threads {threads} --index {input.index:q}"
        " --classes {input.classes:q} --truth {input.truth:q} --output {output:q} 2>&1"
        " | tee {log:q}"


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
        specs=[f"{a.folder}/spec.json" for a in plan.of_stage(*TRAINED)],
        shards=[f"{a.folder}/0.zarr.zip" for a in plan.of_stage(*SHARDED)],
        prototypes=[f"{a.folder}/prototypes.zarr.zip" for a in plan.of_stage("prototypes")],
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
        indexes=[f"results/{name}/index.csv" for name in plan.datasets()],
        training=[f"{a.folder}/training.csv" for a in plan.of_stage("classifier")],
        metrics=[f"{a.folder}/metrics.csv" for a in plan.with_truth(*SHARDED)],
        # A chain without masks to be measured against is still to be made.
        unmeasured=[shard for a in plan.of_stage(*SHARDED) for shard in plan.shard_files(a)],
    output:
        metrics=report("results/metrics.csv", category="Summary"),
        leaderboard=report("results/leaderboard.csv", category="Summary"),
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
        " --metrics {output.metrics:q} --leaderboard {output.leaderboard:q} 2>&1 | tee {log:q}"


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
