# Quality: of classifiers on val's tags, of detectors on val's boxes, of all else against pixel masks.
# These rules alone, and the report's, read truth.csv.
PROPERTIES = [f"results/{name}/properties.csv" for name in plan.datasets(with_truth=True)]
CORRELATIONS = ["results/correlations.csv"] if PROPERTIES else []
DOUBTS = ["results/doubt_correlations.csv"] if PROPERTIES else []
LEARNED_WITH_OOD = "({})-[0-9a-f]{{8}}".format(
    "|".join(m for m, b in methods_of(STAGES["classifier"]).items() if "ood" in b.learns_from)
)


# Apart from training: other images of val train nothing again.
rule measure_classifier:
    input:
        index=VAL,
        classes=CLASSES,
        model="results/{dataset}/classifier/{id}/model.safetensors",
        spec="results/{dataset}/classifier/{id}/spec.json",
    output:
        "results/{dataset}/classifier/{id}/metrics.csv",
    log:
        "logs/{dataset}/classifier/{id}/metrics.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("classifier"),
        source=plan.applying_source("classifier", "measure_classifier"),
        free=plan.free("classifier"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Measure the classifier {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_classifier --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --index {input.index:q} --classes {input.classes:q} --model {input.model:q}"
        " --spec {input.spec:q} --metrics {output:q} 2>&1 | tee {log:q}"


rule measure_detector:
    input:
        index=VAL,
        classes=CLASSES,
        boxes="results/{dataset}/val-boxes.csv",
        model="results/{dataset}/detector/{id}/model.safetensors",
        spec="results/{dataset}/detector/{id}/spec.json",
    output:
        "results/{dataset}/detector/{id}/metrics.csv",
    log:
        "logs/{dataset}/detector/{id}/metrics.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("detector"),
        source=plan.applying_source("detector", "measure_detector"),
        free=plan.free("detector"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Measure the detector {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_detector --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --index {input.index:q} --classes {input.classes:q} --boxes {input.boxes:q}"
        " --model {input.model:q} --spec {input.spec:q} --metrics {output:q} 2>&1 | tee {log:q}"


rule measure_maps:
    input:
        index=plan.measured_index("maps"),
        classes=CLASSES,
        truth=TRUTH,
        left_out=plan.left_out("maps"),
        shards=plan.shards("maps"),
        score=plan.score_file("maps"),
        cams=plan.region_shards("maps"),
    output:
        metrics="results/{dataset}/maps/{id}/{of}metrics.csv",
        curve=report(
            "results/{dataset}/maps/{id}/{of}curve.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/maps/{id}/{of}metrics.log",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        split=plan.measured_split("maps"),
        source=plan.measuring_source("measure_maps"),
        cam=plan.region_cam("maps"),
        localized=plan.localized,
        background_score=plan.seed_at,
        thresholds=plan.setting("evaluation", "thresholds"),
        root=plan.truth_root,
        dask=plan.dask,
        left_out=plan.leave_out,
    message:
        "Measure the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_maps --recipe {params.recipe:q} --id {wildcards.id}"
        " --split {params.split} {params.background_score} --score {input.score:q}"
        " --thresholds {params.thresholds} --root {params.root:q} {params.dask}"
        " --threads {threads} --index {input.index:q} --classes {input.classes:q}"
        " --truth {input.truth:q} {params.left_out} --shards {input.shards:q} {params.cam}"
        " --cams {input.cams:q} {params.localized} --metrics {output.metrics:q}"
        " --curve {output.curve:q}"
        " 2>&1 | tee {log:q}"


rule measure_steps:
    input:
        index=TRAIN,
        classes=CLASSES,
        truth=TRUTH,
        shards=plan.shards("maps"),
        score=plan.score_file("maps"),
    output:
        steps=report(
            "results/{dataset}/maps/{id}/steps.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
        amplification="results/{dataset}/maps/{id}/amplification.csv",
    log:
        "logs/{dataset}/maps/{id}/steps.log",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_steps"),
        background_score=plan.seed_at,
        localized=plan.localized,
        root=plan.truth_root,
        dask=plan.dask,
    message:
        "Measure the steps of {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_steps --recipe {params.recipe:q} --id {wildcards.id}"
        " --split train {params.background_score} --score {input.score:q} --root {params.root:q}"
        " {params.dask} --threads {threads} --index {input.index:q}"
        " --classes {input.classes:q} --truth {input.truth:q} --shards {input.shards:q}"
        " {params.localized} --metrics {output.steps:q} --amplification {output.amplification:q}"
        " 2>&1 | tee {log:q}"


# Opt-in (evaluation.epoch_images). Nothing but the report takes what it writes.
rule measure_epochs:
    input:
        index=TRAIN,
        classes=CLASSES,
        truth=TRUTH,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
        score=plan.score_file("maps"),
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
        background_score=plan.seed_at,
        thresholds=plan.setting("evaluation", "thresholds"),
        root=plan.truth_root,
        image_root=plan.root,
        machine=plan.machine,
        dask=plan.dask,
    message:
        "Measure the maps {wildcards.id} of {wildcards.dataset} after each epoch"
    shell:
        "python -m workflow_scripts.measure_epochs --recipe {params.recipe:q} --id {wildcards.id}"
        " --maps {params.maps:q} --free {params.free:q} {params.machine} --split train"
        " {params.background_score} --score {input.score:q} --thresholds {params.thresholds}"
        " --root {params.root:q} --image-root {params.image_root:q} {params.dask}"
        " --threads {threads} --index {input.index:q} --classes {input.classes:q}"
        " --truth {input.truth:q} --model {input.model:q} --spec {input.spec:q} {params.counts}"
        " --metrics {output:q} 2>&1 | tee {log:q}"


rule measure_objects:
    input:
        index=plan.measured_index(),
        classes=CLASSES,
        truth=TRUTH,
        left_out=plan.left_out(),
        shards=plan.shards(),
    output:
        metrics="results/{dataset}/{stage}/{id}/metrics.csv",
        curve=report(
            "results/{dataset}/{stage}/{id}/curve.csv",
            category="Objects",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/{stage}/{id}/metrics.log",
    wildcard_constraints:
        stage="|".join(measured("objects")),
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_objects"),
        scores=plan.object_scores,
        root=plan.truth_root,
        dask=plan.dask,
        left_out=plan.leave_out,
    message:
        "Measure the {wildcards.stage} {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_objects --recipe {params.recipe:q} --id {wildcards.id}"
        " --split train {params.scores} --root {params.root:q} {params.dask} --threads {threads}"
        " --index {input.index:q} --classes {input.classes:q} --truth {input.truth:q}"
        " {params.left_out} --shards {input.shards:q} --metrics {output.metrics:q}"
        " --curve {output.curve:q} 2>&1 | tee {log:q}"


rule measure_labels:
    input:
        index=plan.measured_index(),
        classes=CLASSES,
        truth=TRUTH,
        left_out=plan.left_out(),
        shards=plan.shards(),
        cams=plan.region_shards(),
    output:
        metrics="results/{dataset}/{stage}/{id}/{of}metrics.csv",
        images="results/{dataset}/{stage}/{id}/{of}images.csv",
    log:
        "logs/{dataset}/{stage}/{id}/{of}metrics.log",
    wildcard_constraints:
        stage="|".join(measured("labels")),
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_labels"),
        cam=plan.region_cam(),
        split=plan.measured_split(),
        root=plan.truth_root,
        dask=plan.dask,
        left_out=plan.leave_out,
    message:
        "Measure the {wildcards.stage} {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_labels --recipe {params.recipe:q} --id {wildcards.id}"
        " --split {params.split} --root {params.root:q} {params.dask} --threads {threads}"
        " --index {input.index:q} --classes {input.classes:q} --truth {input.truth:q}"
        " {params.left_out} --shards {input.shards:q} {params.cam} --cams {input.cams:q}"
        " --metrics {output.metrics:q} --images {output.images:q} 2>&1 | tee {log:q}"


rule measure_scores:
    input:
        index=plan.measured_index("masks"),
        classes=CLASSES,
        truth=TRUTH,
        left_out=plan.left_out("masks"),
        shards=plan.shards("masks"),
        maps=plan.upstream_shards("masks", "maps"),
        score=plan.score_file("masks"),
        cams=plan.region_shards("masks"),
    output:
        metrics="results/{dataset}/masks/{id}/{of}metrics.csv",
        images="results/{dataset}/masks/{id}/{of}images.csv",
        curve=report(
            "results/{dataset}/masks/{id}/{of}curve.csv",
            category="Masks",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/masks/{id}/{of}metrics.log",
    wildcard_constraints:
        id=plan.masks_with_curve,
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        split=plan.measured_split("masks"),
        masks=plan.recipe("masks"),
        source=plan.scoring_source,
        cam=plan.region_cam("masks"),
        thresholds=plan.setting("evaluation", "thresholds"),
        root=plan.truth_root,
        image_root=plan.root,
        dask=plan.dask,
        left_out=plan.leave_out,
    message:
        "Measure the masks {wildcards.id} of {wildcards.dataset} and their scores"
    shell:
        "python -m workflow_scripts.measure_scores --recipe {params.recipe:q} --id {wildcards.id}"
        " --masks {params.masks:q} --split {params.split} --thresholds {params.thresholds}"
        " --root {params.root:q} --image-root {params.image_root:q} {params.dask}"
        " --threads {threads} --index {input.index:q} --classes {input.classes:q}"
        " --truth {input.truth:q} {params.left_out} --shards {input.shards:q}"
        " --maps {input.maps:q} --score {input.score:q} {params.cam}"
        " --cams {input.cams:q} --metrics {output.metrics:q} --images {output.images:q}"
        " --curve {output.curve:q} 2>&1 | tee {log:q}"


ruleorder: measure_scores > measure_labels


# True instances, in the format of the stage that makes such; like truth.csv for evaluation alone.
rule true_instances:
    input:
        description=plan.described("truth"),
        index=plan.shard_index,
        classes=CLASSES,
        truth=plan.true_masks,
    output:
        "results/{dataset}/true_instances/{shard}.zarr.zip",
    log:
        "logs/{dataset}/true_instances/{shard}.log",
    resources:
        mem_mb=scaled(6000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("list_instances"),
        free=plan.dataset_free,
        root=plan.truth_root,
        part=plan.shard_part,
    message:
        "List the true instances of {wildcards.dataset}, for evaluation, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.list_instances --recipe {params.recipe:q}"
        " --free {params.free:q} --root {params.root:q} --index {input.index:q}"
        " --classes {input.classes:q} --truth {input.truth:q} {params.part} --output {output:q}"
        " 2>&1 | tee {log:q}"


# Of the stage `instances` they are its figures, of others further ones.
for stage, name, table in (
    ("|".join(measured("instances")), "measure_instances", "metrics"),
    ("|".join(measured("labels")), "measure_masks_instances", "instances"),
):

    rule:
        name:
            name
        input:
            index=plan.measured_index(),
            classes=CLASSES,
            left_out=plan.left_out(),
            shards=plan.shards(),
            truths=plan.true_instances,
        output:
            f"results/{{dataset}}/{{stage}}/{{id}}/{{of}}{table}.csv",
        log:
            f"logs/{{dataset}}/{{stage}}/{{id}}/{{of}}{table}.log",
        wildcard_constraints:
            stage=stage,
        threads: THREADS
        resources:
            mem_mb=scaled(4000),
            runtime=scaled(60),
        params:
            source=source("measure_instances"),
            artifact="{id}",
            split=plan.measured_split(),
            dask=plan.dask,
            left_out=plan.leave_out,
        message:
            "Measure the instances of the {wildcards.stage} {wildcards.id} of {wildcards.dataset}"
        shell:
            "python -m workflow_scripts.measure_instances --id {params.artifact}"
            " --split {params.split} {params.dask} --threads {threads} --index {input.index:q}"
            " --classes {input.classes:q} --shards {input.shards:q} --truths {input.truths:q}"
            " {params.left_out} --metrics {output:q} 2>&1 | tee {log:q}"


rule measure_classes:
    input:
        index=[TRAIN, VAL],
        classes=CLASSES,
        truth=TRUTH,
    output:
        properties=report(
            "results/{dataset}/properties.csv",
            category="Data sets",
            labels={"data set": "{dataset}"},
        ),
        warnings="results/{dataset}/masks-warnings.csv",
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
        dask=plan.dask,
    message:
        "Measure the classes of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_classes --recipe {params.recipe:q}"
        " --root {params.root:q} {params.dask} --threads {threads} --index {input.index:q}"
        " --classes {input.classes:q} --truth {input.truth:q} --output {output.properties:q}"
        " --warnings {output.warnings:q} 2>&1 | tee {log:q}"


# Opt-in (evaluation.epoch_features), from tags alone. Nothing but the report takes what it writes.
rule embed_epochs:
    input:
        unpack(plan.inputs(STAGES["classifier"])),
        model="results/{dataset}/classifier/{id}/model.safetensors",
    output:
        report(
            "results/{dataset}/classifier/{id}/embedding.csv",
            category="Classifiers",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/classifier/{id}/embedding.log",
    wildcard_constraints:
        id=LEARNED_WITH_OOD,
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(120),
    params:
        recipe=plan.recipe("classifier"),
        source=plan.ood_source("embed_epochs"),
        free=plan.free("classifier"),
        images=plan.setting("evaluation", "epoch_features"),
        root=plan.root,
        ood=plan.ood(STAGES["classifier"]),
        inputs=input_options,
        machine=plan.machine,
    message:
        "Embed the features of the classifier {wildcards.id} of {wildcards.dataset} after each epoch"
    shell:
        "python -m workflow_scripts.embed_epochs --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " {params.ood} {params.inputs} --images {params.images} --output {output:q}"
        " 2>&1 | tee {log:q}"


# Opt-in (report.ood_images), from tags alone. Nothing but the report takes what it writes.
rule draw_ood:
    input:
        unpack(plan.inputs(STAGES["classifier"])),
        model="results/{dataset}/classifier/{id}/model.safetensors",
    output:
        "results/{dataset}/classifier/{id}/ood.zarr.zip",
    log:
        "logs/{dataset}/classifier/{id}/ood.log",
    wildcard_constraints:
        id=LEARNED_WITH_OOD,
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(30),
    params:
        recipe=plan.recipe("classifier"),
        source=plan.ood_source("draw_ood"),
        free=plan.free("classifier"),
        images=plan.setting("report", "ood_images"),
        root=plan.root,
        ood=plan.ood(STAGES["classifier"]),
        inputs=input_options,
        machine=plan.machine,
    message:
        "Store out-of-distribution images of the classifier {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.draw_ood --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " {params.ood} {params.inputs} --images {params.images} --output {output:q}"
        " 2>&1 | tee {log:q}"
