# What images there are, the boxes and masks that methods may learn from, and (for evaluation alone)
# what the pixels show. Rules per kind of data set: `voc`, `voc_val`, `voc_ood`, `voc_boxes`,
# `voc_val_boxes`, `voc_labelled`, `voc_truth`.
from tags2masks.config.datasets import KINDS
from tags2masks.user_tables import SPLITS

LABELLED = "results/{dataset}/labelled.csv"
TABLES = [*SPLITS, "boxes", "val-boxes", "labelled", "truth"]


rule describe:
    output:
        "results/{dataset}/{what}-{digest}.json",
    wildcard_constraints:
        what="|".join(TABLES),
        digest="[0-9a-f]{8}",
    params:
        description=lambda wildcards: plan.description(wildcards.what, wildcards.dataset),
    message:
        "Write down what {wildcards.what}.csv of {wildcards.dataset} is made from"
    shell:
        "rm -f results/{wildcards.dataset}/{wildcards.what}-????????.json;"
        " printf '%s\\n' {params.description:q} > {output:q}"


# What a reader draws is a further output of its rules.
tagged = {kind: block for kind, block in KINDS.items() if block.tagged}
for kind, block in tagged.items():

    rule:
        name:
            kind
        input:
            description=plan.described("train"),
        output:
            **({"drawn": directory("results/{dataset}/images/train")} if block.makes_images else {}),
            index=TRAIN,
            classes=CLASSES,
            warnings="results/{dataset}/train-warnings.csv",
        log:
            "logs/{dataset}/train.log",
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
            needed=plan.needed("train"),
        message:
            "List the training images of {wildcards.dataset}"
        shell:
            "python -m workflow_scripts.list_images --recipe {params.recipe:q}"
            " --free {params.free:q} --root {params.root:q} --split train --output {output.index:q}"
            " --classes {output.classes:q} --warnings {output.warnings:q}"
            " --shards {params.shards} --threads {threads} {params.needed} 2>&1 | tee {log:q}"


# Splits other than train; kinds without tags have candidates alone.
for kind, block in KINDS.items():
    for split in ("val", "ood") if block.tagged else ("ood",):

        rule:
            name:
                f"{kind}_{split}"
            input:
                plan.image_folder,
                **({"train": TRAIN, "classes": CLASSES} if block.tagged else {}),
                description=plan.described(split),
            output:
                **(
                    {"drawn": directory(f"results/{{dataset}}/images/{split}")}
                    if block.makes_images
                    else {}
                ),
                index=f"results/{{dataset}}/{split}.csv",
                warnings=f"results/{{dataset}}/{split}-warnings.csv",
            log:
                f"logs/{{dataset}}/{split}.log",
            wildcard_constraints:
                dataset=plan.datasets_of_kind(kind),
            threads: THREADS
            resources:
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                split=split,
                recipe=plan.dataset_recipe,
                source=source("list_images", f"data.{kind}"),
                shards=plan.shard_count,
                free=plan.dataset_free,
                root=plan.root,
                needed=plan.needed(split),
                beside=plan.train_tables,
            message:
                f"List the {split} images of {{wildcards.dataset}}"
            shell:
                "python -m workflow_scripts.list_images --recipe {params.recipe:q}"
                " --free {params.free:q} --root {params.root:q} --split {params.split}"
                " {params.beside} --output {output.index:q} --warnings {output.warnings:q}"
                " --shards {params.shards} --threads {threads} {params.needed} 2>&1 | tee {log:q}"


for kind, block in tagged.items():
    for split, of in (("train", ""), ("val", "val-")):

        rule:
            name:
                f"{kind}_{of.replace('-', '_')}boxes"
            input:
                description=plan.described(f"{of}boxes"),
                index=f"results/{{dataset}}/{split}.csv",
                classes=CLASSES,
            output:
                boxes=f"results/{{dataset}}/{of}boxes.csv",
            log:
                f"logs/{{dataset}}/{of}boxes.log",
            wildcard_constraints:
                dataset=plan.datasets_of_kind(kind, lambda spec: spec.offers_boxes),
            resources:
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                recipe=plan.dataset_recipe if of else plan.boxes_recipe,
                source=source("list_boxes", f"data.{kind}"),
                free=plan.dataset_free,
                root=plan.root,
            message:
                f"List the boxes of the {split} images of {{wildcards.dataset}}"
            shell:
                "python -m workflow_scripts.list_boxes --recipe {params.recipe:q}"
                " --free {params.free:q} --root {params.root:q} --index {input.index:q}"
                " --classes {input.classes:q} --boxes {output.boxes:q} 2>&1 | tee {log:q}"

    rule:
        name:
            f"{kind}_labelled"
        input:
            description=plan.described("labelled"),
            index=TRAIN,
            classes=CLASSES,
        output:
            **({"drawn": directory("results/{dataset}/labelled")} if block.makes_masks else {}),
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
            index=[TRAIN, VAL],
            classes=CLASSES,
        output:
            **({"drawn": directory("results/{dataset}/truth")} if block.makes_masks else {}),
            truth=TRUTH,
        log:
            "logs/{dataset}/truth.log",
        wildcard_constraints:
            dataset=plan.datasets_of_kind(kind),
        # A mask that went wrong since the images were listed should end the run early.
        priority: 1
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
