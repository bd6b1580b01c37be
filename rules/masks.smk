# Pseudo-masks from maps. One rule per method.


rule threshold:
    input:
        index=INDEX,
        classes=CLASSES,
        maps=plan.upstream("masks", "maps", SHARD),
    output:
        "results/{dataset}/masks/{id}/{shard}.zarr.zip",
    log:
        "logs/{dataset}/masks/{id}/{shard}.log",
    benchmark:
        "logs/{dataset}/masks/{id}/{shard}.tsv"
    wildcard_constraints:
        id="threshold-[0-9a-f]{8}",
    threads: THREADS
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        **plan.masking("threshold"),
    message:
        "Masks: {wildcards.id} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.make_masks --recipe {params.recipe:q} --free {params.free:q}"
        " {params.scheduler} --threads {threads} --root {params.root:q} --index {input.index:q}"
        " --classes {input.classes:q} --maps {input.maps:q} --shard {wildcards.shard}"
        " --output {output:q} 2>&1 | tee {log:q}"


use rule threshold as crf with:
    wildcard_constraints:
        id="crf-[0-9a-f]{8}",
    params:
        **plan.masking("crf"),


use rule threshold as smooth with:
    wildcard_constraints:
        id="smooth-[0-9a-f]{8}",
    params:
        **plan.masking("smooth"),


use rule threshold as superpixel with:
    wildcard_constraints:
        id="superpixel-[0-9a-f]{8}",
    params:
        **plan.masking("superpixel"),


use rule threshold as confident with:
    wildcard_constraints:
        id="confident-[0-9a-f]{8}",
    params:
        **plan.masking("confident"),


use rule threshold as agreed with:
    wildcard_constraints:
        id="agreed-[0-9a-f]{8}",
    params:
        **plan.masking("agreed"),


rule irn:
    input:
        index=INDEX,
        classes=CLASSES,
        maps=plan.upstream("masks", "maps", SHARD),
        model=plan.upstream("masks", "affinity", "model.safetensors"),
        spec=plan.upstream("masks", "affinity", "spec.json"),
    output:
        "results/{dataset}/masks/{id}/{shard}.zarr.zip",
    log:
        "logs/{dataset}/masks/{id}/{shard}.log",
    benchmark:
        "logs/{dataset}/masks/{id}/{shard}.tsv"
    wildcard_constraints:
        id="irn-[0-9a-f]{8}",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(60),
    params:
        **plan.walking("irn"),
    message:
        "Masks: {wildcards.id} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python -m workflow_scripts.walk_shard --recipe {params.recipe:q} --free {params.free:q}"
        " {params.machine} {params.scheduler} --threads {threads} --root {params.root:q}"
        " --index {input.index:q} --classes {input.classes:q} --maps {input.maps:q}"
        " --model {input.model:q} --spec {input.spec:q} --shard {wildcards.shard}"
        " --output {output:q} 2>&1 | tee {log:q}"


use rule irn as psa with:
    wildcard_constraints:
        id="psa-[0-9a-f]{8}",
    params:
        **plan.walking("psa"),


rule masks_as_png:
    input:
        index=INDEX,
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
