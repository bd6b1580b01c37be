# Networks that tell which pixels belong together, learned from what is certain in the maps.
# One rule per method.


rule confident_labels:
    input:
        index=INDEX,
        classes=CLASSES,
        maps=plan.upstream("labels", "maps", SHARD),
    output:
        "results/{dataset}/labels/{id}/{shard}.zarr.zip",
    log:
        "logs/{dataset}/labels/{id}/{shard}.log",
    benchmark:
        "logs/{dataset}/labels/{id}/{shard}.tsv"
    wildcard_constraints:
        id="confident-[0-9a-f]{8}",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        **plan.masking("confident", "labels"),
    message:
        "Labels: {wildcards.id} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.make_masks --recipe {params.recipe:q} --free {params.free:q}"
        " {params.scheduler} --threads {threads} --root {params.root:q} --index {input.index:q}"
        " --classes {input.classes:q} --maps {input.maps:q} --shard {wildcards.shard}"
        " --output {output:q} 2>&1 | tee {log:q}"


use rule confident_labels as agreed_labels with:
    wildcard_constraints:
        id="agreed-[0-9a-f]{8}",
    params:
        **plan.masking("agreed", "labels"),


rule irn_affinity:
    input:
        index=INDEX,
        classes=CLASSES,
        labels=plan.upstream_shards("affinity", "labels"),
        classifier=plan.classifier_start("affinity"),
        weights=plan.weights("affinity"),
    output:
        model="results/{dataset}/affinity/{id}/model.safetensors",
        spec="results/{dataset}/affinity/{id}/spec.json",
        training=report(
            "results/{dataset}/affinity/{id}/training.csv",
            category="Affinity networks",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/affinity/{id}.log",
    benchmark:
        "logs/{dataset}/affinity/{id}.tsv"
    wildcard_constraints:
        id="irn-[0-9a-f]{8}",
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=scaled(16000),
        runtime=scaled(720),
    params:
        **plan.training_affinity("irn"),
    message:
        "Train the affinity network {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.train_affinity --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --source {params.source}"
        " --root {params.root:q} {params.weights} {params.classifier} --index {input.index:q}"
        " --classes {input.classes:q} --labels {input.labels:q} --model {output.model:q}"
        " --spec {output.spec:q} --training {output.training:q} 2>&1 | tee {log:q}"


use rule irn_affinity as psa_affinity with:
    wildcard_constraints:
        id="psa-[0-9a-f]{8}",
    params:
        **plan.training_affinity("psa"),
