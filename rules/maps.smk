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
        **plan.localizing("cam"),
    message:
        "Localize: {wildcards.id} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.localize --recipe {params.recipe:q} --free {params.free:q}"
        " {params.machine} --threads {threads} --root {params.root:q} --index {input.index:q}"
        " --model {input.model:q} --spec {input.spec:q} {params.helpers} --shard {wildcards.shard}"
        " --output {output:q} 2>&1 | tee {log:q}"


use rule cam as pcm with:
    wildcard_constraints:
        id="pcm-[0-9a-f]{8}",
    params:
        **plan.localizing("pcm"),


use rule cam as lpcam with:
    input:
        index=INDEX,
        model=plan.upstream("maps", "classifier", "model.safetensors"),
        spec=plan.upstream("maps", "classifier", "spec.json"),
        prototypes=plan.upstream("maps", "prototypes", "prototypes.zarr.zip"),
    wildcard_constraints:
        id="lpcam-[0-9a-f]{8}",
    params:
        **plan.localizing("lpcam"),


use rule cam as gradcam with:
    wildcard_constraints:
        id="gradcam-[0-9a-f]{8}",
    params:
        **plan.localizing("gradcam"),


use rule cam as saliency with:
    wildcard_constraints:
        id="saliency-[0-9a-f]{8}",
    params:
        **plan.localizing("saliency"),


use rule cam as smoothgrad with:
    wildcard_constraints:
        id="smoothgrad-[0-9a-f]{8}",
    params:
        **plan.localizing("smoothgrad"),


use rule cam as binarymask with:
    wildcard_constraints:
        id="binarymask-[0-9a-f]{8}",
    params:
        **plan.localizing("binarymask"),


use rule cam as randompatch with:
    wildcard_constraints:
        id="randompatch-[0-9a-f]{8}",
    params:
        **plan.localizing("randompatch"),


use rule cam as discpatch with:
    wildcard_constraints:
        id="discpatch-[0-9a-f]{8}",
    params:
        **plan.localizing("discpatch"),


use rule cam as randomcrop with:
    wildcard_constraints:
        id="randomcrop-[0-9a-f]{8}",
    params:
        **plan.localizing("randomcrop"),


use rule cam as disccrop with:
    wildcard_constraints:
        id="disccrop-[0-9a-f]{8}",
    params:
        **plan.localizing("disccrop"),


use rule cam as advcam with:
    wildcard_constraints:
        id="advcam-[0-9a-f]{8}",
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(16000),
        runtime=scaled(720),
    params:
        **plan.localizing("advcam"),


use rule cam as rib with:
    wildcard_constraints:
        id="rib-[0-9a-f]{8}",
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(16000),
        runtime=scaled(720),
    params:
        **plan.localizing("rib"),
