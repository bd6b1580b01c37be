# Segmentation networks trained on pseudo-masks, and what they predict. One rule per network.


rule deeplabv3plus:
    input:
        index=INDEX,
        classes=CLASSES,
        masks=plan.upstream_shards("segmenter", "masks"),
        classifier=plan.classifier_start("segmenter"),
        weights=plan.weights("segmenter"),
    output:
        model="results/{dataset}/segmenter/{id}/model.safetensors",
        spec="results/{dataset}/segmenter/{id}/spec.json",
        training=report(
            "results/{dataset}/segmenter/{id}/training.csv",
            category="Segmenters",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/segmenter/{id}.log",
    benchmark:
        "logs/{dataset}/segmenter/{id}.tsv"
    wildcard_constraints:
        id="deeplabv3plus-[0-9a-f]{8}",
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=scaled(16000),
        runtime=scaled(1440),
    params:
        **plan.training_segmenter("deeplabv3plus"),
    message:
        "Train the segmenter {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.train_segmenter --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --source {params.source}"
        " --root {params.root:q} {params.weights} {params.classifier} --index {input.index:q}"
        " --classes {input.classes:q} --masks {input.masks:q} --model {output.model:q}"
        " --spec {output.spec:q} --training {output.training:q} 2>&1 | tee {log:q}"


use rule deeplabv3plus as deeplabv1 with:
    wildcard_constraints:
        id="deeplabv1-[0-9a-f]{8}",
    params:
        **plan.training_segmenter("deeplabv1"),


use rule deeplabv3plus as deeplabv2 with:
    wildcard_constraints:
        id="deeplabv2-[0-9a-f]{8}",
    params:
        **plan.training_segmenter("deeplabv2"),


use rule deeplabv3plus as upernet with:
    wildcard_constraints:
        id="upernet-[0-9a-f]{8}",
    params:
        **plan.training_segmenter("upernet"),


rule predictions:
    input:
        index=INDEX,
        model=plan.upstream("predictions", "segmenter", "model.safetensors"),
        spec=plan.upstream("predictions", "segmenter", "spec.json"),
    output:
        "results/{dataset}/predictions/{id}/{shard}.zarr.zip",
    log:
        "logs/{dataset}/predictions/{id}/{shard}.log",
    benchmark:
        "logs/{dataset}/predictions/{id}/{shard}.tsv"
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("predictions"),
        source=source("predict_shard"),
        free=plan.free("predictions"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Segment the evaluation split: {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.predict_shard --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --index {input.index:q} --model {input.model:q} --spec {input.spec:q}"
        " --shard {wildcards.shard} --output {output:q} 2>&1 | tee {log:q}"


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
