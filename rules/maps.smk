# Localization of the tagged classes in the training images. One rule per method.


rule cam:
    input:
        index=INDEX,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
    output:
        "results/{dataset}/maps/{id}/{shard}.zarr.zip",
    log:
        "logs/{dataset}/maps/{id}/{shard}.log",
    benchmark:
        "logs/{dataset}/maps/{id}/{shard}.tsv"
    wildcard_constraints:
        id="cam-[0-9a-f]{8}",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(60),
    params:
        recipe=plan.recipe("maps"),
        source=source("localize", "maps.cam"),
        free=plan.free("maps"),
        root=plan.root,
        machine=plan.machine,
        helpers="",
    message:
        "Localize: {wildcards.id} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.localize --recipe {params.recipe:q} --free {params.free:q}"
        " {params.machine} --threads {threads} --root {params.root:q} --index {input.index:q}"
        " --model {input.model:q} --spec {input.spec:q} {params.helpers} --shard {wildcards.shard}"
        " --output {output:q} 2>&1 | tee {log:q}"


use rule cam as lpcam with:
    input:
        index=INDEX,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
        prototypes=plan.upstream("maps", "prototypes", "prototypes.zarr.zip"),
    wildcard_constraints:
        id="lpcam-[0-9a-f]{8}",
    params:
        recipe=plan.recipe("maps"),
        source=source("localize", "maps.lpcam"),
        free=plan.free("maps"),
        root=plan.root,
        machine=plan.machine,
        helpers=lambda wildcards, input: option("prototypes", [input.prototypes]),
