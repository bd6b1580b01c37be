# Masks as pictures, instances in COCO's format and as pictures, and new images segmented.


rule masks_as_png:
    input:
        index=TRAIN,
        masks=plan.shards("masks"),
    output:
        directory("results/{dataset}/masks/{id}/png"),
    log:
        "logs/{dataset}/masks/{id}/png.log",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        source=source("export_masks"),
        artifact="{id}",
    message:
        "Palette PNG files of the masks {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.export_masks --id {params.artifact} --index {input.index:q}"
        " --masks {input.masks:q} --output {output:q} 2>&1 | tee {log:q}"


# The folder of the config may be anywhere; without one the rule has no use.
rule masks_in_folder:
    input:
        index=TRAIN,
        classes=CLASSES,
        masks=plan.shards("masks"),
    output:
        directory(f"{plan.export_folder}/{{dataset}}/{{id}}"),
    log:
        "logs/{dataset}/masks/{id}/export.log",
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(120),
    params:
        source=source("export_masks"),
        artifact="{id}",
        title=plan.sheet_title,
        also=plan.exported_also,
        root=plan.root,
    message:
        "The masks of {params.title} in {output}"
    shell:
        "python -m workflow_scripts.export_masks --id {params.artifact} --index {input.index:q}"
        " --masks {input.masks:q} --classes {input.classes:q} --root {params.root:q}"
        " --title {params.title:q} {params.also} --output {output:q} 2>&1 | tee {log:q}"


rule export_instances:
    input:
        index=plan.measured_index(),
        classes=CLASSES,
        shards=plan.shards(),
    output:
        coco="results/{dataset}/{stage}/{id}/coco.json",
        pictures=directory("results/{dataset}/{stage}/{id}/instances"),
    log:
        "logs/{dataset}/{stage}/{id}/coco.log",
    wildcard_constraints:
        stage="instances|masks|predictions",
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        source=source("export_instances"),
        artifact="{id}",
        split=plan.measured_split(),
    message:
        "The instances of {wildcards.id} of {wildcards.dataset} in COCO's format and as pictures"
    shell:
        "python -m workflow_scripts.export_instances --id {params.artifact} --index {input.index:q}"
        " --split {params.split} --classes {input.classes:q} --shards {input.shards:q}"
        " --output {output.coco:q} --pictures {output.pictures:q} 2>&1 | tee {log:q}"


rule export_masks:
    input:
        [f"{a.folder}/png" for a in plan.of_stage("masks")],
        [f"{a.folder}/coco.json" for a in plan.giving_instances()],
        plan.exported,
    message:
        "All masks are exported"


rule predict_images:
    input:
        images=plan.predicted_images,
        model=plan.predictor_file("model.safetensors"),
        spec=plan.predictor_file("spec.json"),
    output:
        directory("results/predict/{name}"),
    log:
        "logs/predict/{name}.log",
    wildcard_constraints:
        name="[A-Za-z0-9][A-Za-z0-9_.-]*",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(120),
    params:
        recipe=plan.predictor_recipe,
        source=source("predict_images"),
        machine=plan.machine,
        images=plan.predicted_folder,
        also=plan.predicted_also,
    message:
        "Segment the images of {params.images}"
    shell:
        "python -m workflow_scripts.predict_images --recipe {params.recipe:q} {params.machine}"
        " {params.also} --threads {threads} --images {params.images:q} --model {input.model:q}"
        " --spec {input.spec:q} --output {output:q} 2>&1 | tee {log:q}"


rule predict:
    input:
        [f"results/predict/{name}" for name in plan.config.predict],
    log:
        "logs/predict.log",
    message:
        "All folders of predict: are segmented; look for images that are damaged"
    shell:
        "python -m workflow_scripts.check_predictions --folders {input:q} 2>&1 | tee {log:q}"
