# Masks as pictures, and new images segmented.


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


rule export_masks:
    input:
        [f"{a.folder}/png" for a in plan.of_stage("masks")],
    message:
        "All masks are exported"


rule predict_images:
    input:
        images=lambda wildcards: plan.config.predict[wildcards.name].images,
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
    message:
        "Segment the images of {input.images}"
    shell:
        "python -m workflow_scripts.predict_images --recipe {params.recipe:q} {params.machine}"
        " --threads {threads} --images {input.images:q} --model {input.model:q}"
        " --spec {input.spec:q} --output {output:q} 2>&1 | tee {log:q}"


rule predict:
    input:
        [f"results/predict/{name}" for name in plan.config.predict],
    message:
        "All folders of predict: are segmented"
