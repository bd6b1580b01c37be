# What can be said of masks, and shown of them, without true masks. No rule here reads truth.csv.


rule measure_plausibility:
    input:
        index=plan.measured_index(),
        classes=CLASSES,
        shards=plan.shards(),
        others=plan.other_masks,
    output:
        plausibility="results/{dataset}/{stage}/{id}/plausibility.csv",
        doubts="results/{dataset}/{stage}/{id}/doubts.csv",
        shares="results/{dataset}/{stage}/{id}/shares.csv",
    log:
        "logs/{dataset}/{stage}/{id}/plausibility.log",
    wildcard_constraints:
        stage="|".join(figured("labels")),
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        source=source("measure_plausibility"),
        artifact="{id}",
        split=plan.measured_split(),
        others=plan.compared,
        dask=plan.dask,
    message:
        "Look at the {wildcards.stage} {wildcards.id} of {wildcards.dataset} without true masks"
    shell:
        "python -m workflow_scripts.measure_plausibility --id {params.artifact}"
        " --split {params.split} {params.dask} --threads {threads} --index {input.index:q}"
        " --classes {input.classes:q} --shards {input.shards:q} {params.others}"
        " --plausibility {output.plausibility:q} --doubts {output.doubts:q}"
        " --shares {output.shares:q} 2>&1 | tee {log:q}"


rule collect_plausibility:
    input:
        outline=plan.outline_file,
        tables=[f"{a.folder}/plausibility.csv" for a in plan.of_stage(*figured("labels"))],
    output:
        report("results/plausibility.csv", category="Summary"),
    log:
        "logs/plausibility.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        source=source("collect_plausibility"),
    message:
        "Collect what was seen without true masks"
    shell:
        "python -m workflow_scripts.collect_plausibility --outline {input.outline:q}"
        " --results results --output {output:q} 2>&1 | tee {log:q}"


# The photographs are drawn once for all masks of a data set.
rule thumbnails:
    input:
        index=TRAIN,
    output:
        directory("results/{dataset}/sheets/images/{shard}"),
    log:
        "logs/{dataset}/sheets/images/{shard}.log",
    wildcard_constraints:
        shard="[0-9]+",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        source=source("draw_thumbnails"),
        shard="{shard}",
        size=plan.setting("report", "sheet_size"),
        root=plan.root,
        dask=plan.dask,
    message:
        "Thumbnails of the training images of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.draw_thumbnails --index {input.index:q}"
        " --shard {params.shard} --size {params.size} --root {params.root:q} {params.dask}"
        " --threads {threads} --output {output:q} 2>&1 | tee {log:q}"


rule overlays:
    input:
        index=TRAIN,
        masks="results/{dataset}/masks/{id}/{shard}.zarr.zip",
    output:
        directory("results/{dataset}/sheets/{id}/{shard}"),
    log:
        "logs/{dataset}/sheets/{id}/{shard}.log",
    wildcard_constraints:
        shard="[0-9]+",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        source=source("draw_overlays"),
        artifact="{id}",
        shard="{shard}",
        size=plan.setting("report", "sheet_size"),
    message:
        "Draw the masks {wildcards.id} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.draw_overlays --index {input.index:q} --id {params.artifact}"
        " --shard {params.shard} --size {params.size} --masks {input.masks:q} --output {output:q}"
        " 2>&1 | tee {log:q}"


rule contact_sheet:
    input:
        index=TRAIN,
        classes=CLASSES,
        doubts="results/{dataset}/masks/{id}/doubts.csv",
        shares="results/{dataset}/masks/{id}/shares.csv",
        images=plan.sheet_folders("images"),
        overlays=plan.sheet_folders("{id}"),
    output:
        "results/{dataset}/sheets/{id}.html",
    log:
        "logs/{dataset}/sheets/{id}.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(20),
    params:
        source=source("write_sheet"),
        template=text_digest("tags2masks/report/sheet.html.jinja"),
        artifact="{id}",
        title=plan.sheet_title,
        size=plan.setting("report", "sheet_size"),
    message:
        "Contact sheet of the masks {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.write_sheet --index {input.index:q}"
        " --classes {input.classes:q} --doubts {input.doubts:q} --shares {input.shares:q}"
        " --id {params.artifact} --title {params.title:q} --size {params.size}"
        " --output {output:q} 2>&1 | tee {log:q}"
