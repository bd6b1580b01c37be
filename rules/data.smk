# What images there are, the boxes and masks that methods may learn from, and (for evaluation alone)
# what the pixels show. Rules per kind of data set: `voc`, `voc_boxes`, `voc_labelled`, `voc_truth`.
from tags2masks.config.datasets import KINDS

BOXES = "results/{dataset}/boxes.csv"
LABELLED = "results/{dataset}/labelled.csv"


rule describe:
    output:
        "results/{dataset}/{what}-{digest}.json",
    wildcard_constraints:
        what="dataset|boxes|labelled|truth",
        digest="[0-9a-f]{8}",
    params:
        description=lambda wildcards: plan.description(wildcards.what, wildcards.dataset),
    message:
        "Write down what the {wildcards.what} of {wildcards.dataset} is made from"
    shell:
        "rm -f results/{wildcards.dataset}/{wildcards.what}-*.json;"
        " printf '%s\\n' {params.description:q} > {output:q}"


for kind, block in KINDS.items():

    rule:
        name:
            kind
        input:
            description=plan.described("dataset"),
        output:
            **{"images": directory("results/{dataset}/images")} if block.makes_images else {},
            index=INDEX,
            classes=CLASSES,
        log:
            "logs/{dataset}/index.log",
        wildcard_constraints:
            dataset=plan.datasets_of_kind(kind),
        threads: THREADS
        resources:
            mem_mb=scaled(block.memory_mb),
            runtime=scaled(block.minutes),
        params:
            recipe=plan.dataset_recipe,
            source=source("list_images", f"data.{kind}"),
            shards=plan.shard_count,
            free=plan.dataset_free,
            root=plan.root,
            needs=plan.needed_split,
        message:
            "List the images of {wildcards.dataset}"
        shell:
            "python -m workflow_scripts.list_images --recipe {params.recipe:q}"
            " --free {params.free:q} --root {params.root:q} --index {output.index:q}"
            " --classes {output.classes:q} --shards {params.shards} --threads {threads}"
            " {params.needs} 2>&1 | tee {log:q}"

    rule:
        name:
            f"{kind}_boxes"
        input:
            description=plan.described("boxes"),
            index=INDEX,
            classes=CLASSES,
        output:
            boxes=BOXES,
        log:
            "logs/{dataset}/boxes.log",
        wildcard_constraints:
            dataset=plan.datasets_of_kind(kind, lambda spec: spec.offers_boxes),
        resources:
            mem_mb=scaled(block.memory_mb),
            runtime=scaled(block.minutes),
        params:
            recipe=plan.dataset_recipe,
            source=source("list_boxes", f"data.{kind}"),
            free=plan.dataset_free,
            root=plan.root,
        message:
            "List the boxes of {wildcards.dataset}"
        shell:
            "python -m workflow_scripts.list_boxes --recipe {params.recipe:q}"
            " --free {params.free:q} --root {params.root:q} --index {input.index:q}"
            " --classes {input.classes:q} --boxes {output.boxes:q} 2>&1 | tee {log:q}"

    rule:
        name:
            f"{kind}_labelled"
        input:
            description=plan.described("labelled"),
            index=INDEX,
            classes=CLASSES,
        output:
            **{"masks": directory("results/{dataset}/labelled")} if block.makes_masks else {},
            labelled=LABELLED,
        log:
            "logs/{dataset}/labelled.log",
        wildcard_constraints:
            dataset=plan.datasets_of_kind(kind, lambda spec: spec.offers_masks and spec.labelled),
        threads: THREADS
        resources:
            mem_mb=scaled(block.memory_mb),
            runtime=scaled(block.minutes),
        params:
            recipe=plan.labelled_recipe,
            source=source("list_labelled", f"data.{kind}"),
            free=plan.dataset_free,
            root=plan.truth_root,
        message:
            "List the masks of {wildcards.dataset} that methods may learn from"
        shell:
            "python -m workflow_scripts.list_labelled --recipe {params.recipe:q}"
            " --free {params.free:q} --root {params.root:q} --index {input.index:q}"
            " --classes {input.classes:q} --labelled {output.labelled:q} --threads {threads}"
            " 2>&1 | tee {log:q}"

    rule:
        name:
            f"{kind}_truth"
        input:
            description=plan.described("truth"),
            index=INDEX,
            classes=CLASSES,
        output:
            **{"masks": directory("results/{dataset}/truth")} if block.makes_masks else {},
            truth=TRUTH,
        log:
            "logs/{dataset}/truth.log",
        wildcard_constraints:
            dataset=plan.datasets_of_kind(kind),
        threads: THREADS
        resources:
            mem_mb=scaled(block.memory_mb),
            runtime=scaled(block.minutes),
        params:
            recipe=plan.truth_recipe,
            source=source("list_truth", f"data.{kind}"),
            free=plan.dataset_free,
            root=plan.truth_root,
        message:
            "List the masks of {wildcards.dataset}, for evaluation"
        shell:
            "python -m workflow_scripts.list_truth --recipe {params.recipe:q}"
            " --free {params.free:q} --root {params.root:q} --index {input.index:q}"
            " --classes {input.classes:q} --truth {output.truth:q} --threads {threads}"
            " 2>&1 | tee {log:q}"
