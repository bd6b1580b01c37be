# What images there are, and (for evaluation alone) what their pixels show. One rule per reader.


rule describe:
    output:
        "results/{dataset}/{what}-{digest}.json",
    wildcard_constraints:
        what="dataset|truth",
        digest="[0-9a-f]{8}",
    params:
        description=lambda wildcards: plan.description(wildcards.what, wildcards.dataset),
    message:
        "Write down what the {wildcards.what} of {wildcards.dataset} is made from"
    shell:
        "rm -f results/{wildcards.dataset}/{wildcards.what}-*.json;"
        " printf '%s\\n' {params.description:q} > {output:q}"


rule voc:
    input:
        description=plan.described("dataset"),
    output:
        index=INDEX,
        classes=CLASSES,
    log:
        "logs/{dataset}/index.log",
    wildcard_constraints:
        dataset=plan.datasets_of_kind("voc"),
    threads: THREADS
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        recipe=plan.dataset_recipe,
        source=source("list_images", "data.voc"),
        shards=plan.shard_count,
        root=plan.root,
        needs=plan.needed_split,
    message:
        "List the images of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.list_images --recipe {params.recipe:q} --root {params.root:q}"
        " --index {output.index:q} --classes {output.classes:q} --shards {params.shards}"
        " --threads {threads} {params.needs} 2>&1 | tee {log:q}"


use rule voc as coco with:
    wildcard_constraints:
        dataset=plan.datasets_of_kind("coco"),
    resources:
        mem_mb=scaled(6000),
        runtime=scaled(120),
    params:
        recipe=plan.dataset_recipe,
        source=source("list_images", "data.coco"),
        shards=plan.shard_count,
        root=plan.root,
        needs=plan.needed_split,


rule folder:
    input:
        description=plan.described("dataset"),
    output:
        index=INDEX,
        classes=CLASSES,
    log:
        "logs/{dataset}/index.log",
    wildcard_constraints:
        dataset=plan.datasets_of_kind("folder"),
    threads: THREADS
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        recipe=plan.dataset_recipe,
        source=source("list_images", "data.folder"),
        shards=plan.shard_count,
        root=plan.root,
        tags=plan.tags,
        needs=plan.needed_split,
    message:
        "List the images of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.list_images --recipe {params.recipe:q} --root {params.root:q}"
        " {params.tags} --index {output.index:q} --classes {output.classes:q}"
        " --shards {params.shards} --threads {threads} {params.needs} 2>&1 | tee {log:q}"


rule digits:
    input:
        description=plan.described("dataset"),
    output:
        index=INDEX,
        classes=CLASSES,
        images=directory("results/{dataset}/images"),
    log:
        "logs/{dataset}/index.log",
    wildcard_constraints:
        dataset=plan.datasets_of_kind("digits"),
    threads: THREADS
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(10),
    params:
        recipe=plan.dataset_recipe,
        source=source("list_images", "data.digits"),
        shards=plan.shard_count,
        root=plan.root,
        needs=plan.needed_split,
    message:
        "Draw the images of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.list_images --recipe {params.recipe:q} --root {params.root:q}"
        " --index {output.index:q} --classes {output.classes:q} --shards {params.shards}"
        " --threads {threads} {params.needs} 2>&1 | tee {log:q}"


rule mnist:
    input:
        description=plan.described("dataset"),
    output:
        index=INDEX,
        classes=CLASSES,
        images=directory("results/{dataset}/images"),
    log:
        "logs/{dataset}/index.log",
    wildcard_constraints:
        dataset=plan.datasets_of_kind("mnist"),
    threads: THREADS
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(30),
    params:
        recipe=plan.dataset_recipe,
        source=source("list_images", "data.mnist"),
        shards=plan.shard_count,
        root=plan.root,
        files=plan.files_root,
        needs=plan.needed_split,
    message:
        "Unpack the images of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.list_images --recipe {params.recipe:q} --root {params.root:q}"
        " --files {params.files:q} --index {output.index:q} --classes {output.classes:q}"
        " --shards {params.shards} --threads {threads} {params.needs} 2>&1 | tee {log:q}"


rule voc_truth:
    input:
        description=plan.described("truth"),
        index=INDEX,
        classes=CLASSES,
    output:
        truth=TRUTH,
    log:
        "logs/{dataset}/truth.log",
    wildcard_constraints:
        dataset=plan.datasets_of_kind("voc"),
    threads: THREADS
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(60),
    params:
        recipe=plan.truth_recipe,
        source=source("list_truth", "data.voc"),
        root=plan.truth_root,
    message:
        "List the masks of {wildcards.dataset}, for evaluation"
    shell:
        "python -m workflow_scripts.list_truth --recipe {params.recipe:q} --root {params.root:q}"
        " --index {input.index:q} --classes {input.classes:q} --truth {output.truth:q}"
        " --threads {threads} 2>&1 | tee {log:q}"


use rule voc_truth as folder_truth with:
    wildcard_constraints:
        dataset=plan.datasets_of_kind("folder"),
    params:
        recipe=plan.truth_recipe,
        source=source("list_truth", "data.folder"),
        root=plan.truth_root,


rule coco_truth:
    input:
        description=plan.described("truth"),
        index=INDEX,
        classes=CLASSES,
    output:
        truth=TRUTH,
        masks=directory("results/{dataset}/truth"),
    log:
        "logs/{dataset}/truth.log",
    wildcard_constraints:
        dataset=plan.datasets_of_kind("coco"),
    threads: THREADS
    resources:
        mem_mb=scaled(6000),
        runtime=scaled(180),
    params:
        recipe=plan.truth_recipe,
        source=source("list_truth", "data.coco"),
        root=plan.truth_root,
        files=plan.files_root,
    message:
        "Draw the masks of {wildcards.dataset}, for evaluation"
    shell:
        "python -m workflow_scripts.list_truth --recipe {params.recipe:q} --root {params.root:q}"
        " --files {params.files:q} --index {input.index:q} --classes {input.classes:q}"
        " --truth {output.truth:q} --threads {threads} 2>&1 | tee {log:q}"


use rule voc_truth as digits_truth with:
    output:
        truth=TRUTH,
        masks=directory("results/{dataset}/truth"),
    wildcard_constraints:
        dataset=plan.datasets_of_kind("digits"),
    params:
        recipe=plan.truth_recipe,
        source=source("list_truth", "data.digits"),
        root=plan.truth_root,


use rule digits_truth as mnist_truth with:
    wildcard_constraints:
        dataset=plan.datasets_of_kind("mnist"),
    params:
        recipe=plan.truth_recipe,
        source=source("list_truth", "data.mnist"),
        root=plan.truth_root,
