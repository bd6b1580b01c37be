# Cluster centres of each class's local features, which map methods compare images with.


rule kmeans:
    input:
        index=INDEX,
        model=plan.upstream("prototypes", "classifier", "model.safetensors"),
        spec=plan.upstream("prototypes", "classifier", "spec.json"),
    output:
        "results/{dataset}/prototypes/{id}/prototypes.zarr.zip",
    log:
        "logs/{dataset}/prototypes/{id}.log",
    benchmark:
        "logs/{dataset}/prototypes/{id}.tsv"
    wildcard_constraints:
        id="kmeans-[0-9a-f]{8}",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(12000),
        runtime=scaled(120),
    params:
        recipe=plan.recipe("prototypes"),
        source=source("find_prototypes"),
        free=plan.free("prototypes"),
        root=plan.root,
        machine=plan.machine,
    message:
        "Find prototypes: {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.find_prototypes --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --index {input.index:q} --model {input.model:q} --spec {input.spec:q}"
        " --output {output:q} 2>&1 | tee {log:q}"
