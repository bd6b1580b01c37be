# What trained networks do, on request (evaluation.gradients, landscape, climbs, untagged, region_pictures,
# heads, proposals). Nothing but the report takes what these rules write. measure_gradients and
# measure_regions read truth.csv, for their regions, measure_heads the true instances, for places in them.


rule measure_gradients:
    input:
        index=TRAIN,
        classes=CLASSES,
        truth=TRUTH,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
    output:
        table=report(
            "results/{dataset}/maps/{id}/gradients.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
        maps="results/{dataset}/maps/{id}/gradients.zarr.zip",
    log:
        "logs/{dataset}/maps/{id}/gradients.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("maps"),
        source=plan.analysis_source("maps", "measure_gradients"),
        free=plan.free("maps"),
        analysis=plan.analysis("gradients"),
        root=plan.root,
        truth_root=plan.truth_root,
        machine=plan.machine,
    message:
        "Measure the gradients of the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_gradients --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --truth-root {params.truth_root:q} --analysis {params.analysis:q}"
        " --index {input.index:q} --classes {input.classes:q} --truth {input.truth:q}"
        " --model {input.model:q} --spec {input.spec:q} --output {output.table:q}"
        " --maps {output.maps:q} 2>&1 | tee {log:q}"


rule map_landscape:
    input:
        index=TRAIN,
        model="results/{dataset}/classifier/{id}/model.safetensors",
        spec="results/{dataset}/classifier/{id}/spec.json",
    output:
        report(
            "results/{dataset}/classifier/{id}/landscape.csv",
            category="Classifiers",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/classifier/{id}/landscape.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(120),
    params:
        recipe=plan.recipe("classifier"),
        source=plan.analysis_source("classifier", "map_landscape"),
        free=plan.free("classifier"),
        analysis=plan.analysis("landscape"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Map the loss around the classifier {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.map_landscape --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --analysis {params.analysis:q} --index {input.index:q} --model {input.model:q}"
        " --spec {input.spec:q} --output {output:q} 2>&1 | tee {log:q}"


rule embed_climbs:
    input:
        index=TRAIN,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
    output:
        report(
            "results/{dataset}/maps/{id}/climbs.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/maps/{id}/climbs.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("maps"),
        source=plan.analysis_source("maps", "embed_climbs"),
        free=plan.free("maps"),
        analysis=plan.analysis("climbs"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Embed climbs of the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.embed_climbs --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --analysis {params.analysis:q} --index {input.index:q} --model {input.model:q}"
        " --spec {input.spec:q} --output {output:q} 2>&1 | tee {log:q}"


rule localize_untagged:
    input:
        unpack(plan.inputs(STAGES["maps"])),
    output:
        "results/{dataset}/maps/{id}/untagged.zarr.zip",
    log:
        "logs/{dataset}/maps/{id}/untagged.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(120),
    params:
        recipe=plan.recipe("maps"),
        source=plan.untagged_source,
        free=plan.free("maps"),
        analysis=plan.analysis("untagged"),
        root=plan.root,
        inputs=input_options,
        machine=plan.machine,
    message:
        "Localize untagged classes by the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.localize_untagged --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --analysis {params.analysis:q} {params.inputs} --output {output:q} 2>&1 | tee {log:q}"


rule measure_regions:
    input:
        index=TRAIN,
        classes=CLASSES,
        truth=TRUTH,
        left_out=plan.left_out("maps"),
        shards=plan.shards("maps"),
        cams=plan.region_shards("maps"),
    output:
        table=report(
            "results/{dataset}/maps/{id}/regions.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
        maps="results/{dataset}/maps/{id}/regions.zarr.zip",
    log:
        "logs/{dataset}/maps/{id}/regions.log",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(20),
    params:
        recipe=plan.truth_recipe,
        source=plan.measuring_source("measure_regions"),
        cam=plan.region_cam("maps"),
        localized=plan.localized,
        analysis=plan.analysis("region_pictures"),
        root=plan.truth_root,
        left_out=plan.leave_out,
    message:
        "Divide pixels of the maps {wildcards.id} of {wildcards.dataset} by their scores"
    shell:
        "python -m workflow_scripts.measure_regions --recipe {params.recipe:q} --id {wildcards.id}"
        " --split train --root {params.root:q} --threads {threads} --index {input.index:q}"
        " --classes {input.classes:q} --truth {input.truth:q} {params.left_out}"
        " --shards {input.shards:q} {params.cam} --cams {input.cams:q} {params.localized}"
        " --analysis {params.analysis:q} --metrics {output.table:q}"
        " --maps {output.maps:q} 2>&1 | tee {log:q}"


rule measure_heads:
    input:
        index=plan.analysis_index("heads"),
        boxes=plan.analysis_boxes("heads"),
        instances=plan.analysis_instances("heads"),
        model=plan.upstream("maps", "detector", "model.safetensors"),
        spec=plan.upstream("maps", "detector", "spec.json"),
    output:
        losses=report(
            "results/{dataset}/maps/{id}/head_losses.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
        places="results/{dataset}/maps/{id}/head_places.csv",
    log:
        "logs/{dataset}/maps/{id}/heads.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(24000),
        runtime=scaled(240),
    params:
        recipe=plan.recipe("maps"),
        source=plan.analysis_source("maps", "measure_heads"),
        free=plan.free("maps"),
        analysis=plan.analysis("heads"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Measure what the heads look at by the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_heads --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --analysis {params.analysis:q} --index {input.index:q} --boxes {input.boxes:q}"
        " --instances {input.instances:q} --model {input.model:q} --spec {input.spec:q}"
        " --losses {output.losses:q} --places {output.places:q} 2>&1 | tee {log:q}"


rule measure_proposals:
    input:
        index=plan.analysis_index("proposals"),
        boxes=plan.analysis_boxes("proposals"),
        model=plan.upstream("maps", "detector", "model.safetensors"),
        spec=plan.upstream("maps", "detector", "spec.json"),
    output:
        table=report(
            "results/{dataset}/maps/{id}/proposals.csv",
            category="Maps",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
        pictures="results/{dataset}/maps/{id}/proposals.zarr.zip",
    log:
        "logs/{dataset}/maps/{id}/proposals.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(24000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("maps"),
        source=plan.analysis_source("maps", "measure_proposals"),
        free=plan.free("maps"),
        analysis=plan.analysis("proposals"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Look at gradients of single proposals by the maps {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.measure_proposals --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --analysis {params.analysis:q} --index {input.index:q} --boxes {input.boxes:q}"
        " --model {input.model:q} --spec {input.spec:q}"
        " --table {output.table:q} --pictures {output.pictures:q} 2>&1 | tee {log:q}"
