# A rule for each method of each stage, named as the method. What differs between them is in the
# table of stages (tags2masks/stages.py) and in the methods' config blocks (tags2masks/config/).


# Networks, trained on all training images. The images of val are checked before, and their mAP is
# written down after each epoch of a classifier, the AP of their boxes after those of a detector;
# other images or boxes of val train nothing again (`ancient`).
for stage in map(STAGES.get, giving("network")):
    folder = f"results/{{dataset}}/{stage.name}/{{id}}"
    for method, block in methods_of(stage).items():

        rule:
            name:
                rule_of(stage, method)
            input:
                unpack(plan.inputs(stage)),
                val=ancient(VAL),
                val_boxes=ancient(plan.val_boxes(stage)),
            output:
                **{name: f"{folder}/{file}" for name, file in block.further_outputs.items()},
                model=f"{folder}/model.safetensors",
                spec=f"{folder}/spec.json",
                training=report(
                    f"{folder}/training.csv",
                    category=stage.plural.capitalize(),
                    labels={"data set": "{dataset}", "artifact": "{id}"},
                ),
            log:
                f"logs/{{dataset}}/{stage.name}/{{id}}.log",
            benchmark:
                f"logs/{{dataset}}/{stage.name}/{{id}}.tsv"
            wildcard_constraints:
                id=f"{method}-[0-9a-f]{{8}}" if "{method}" in stage.rule else ID,
            threads: THREADS
            resources:
                gpu=GPUS,
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                **plan.weighted_params(stage),
                program=block.program or stage.program,
            message:
                f"{stage.message} {{wildcards.id}} of {{wildcards.dataset}}"
            shell:
                "python -m workflow_scripts.{params.program} --recipe {params.recipe:q}"
                " --free {params.free:q} {params.machine} --threads {threads}"
                " --source {params.source} --root {params.root:q} {params.weights}"
                " {params.mask_root} {params.ood} {params.inputs} --model {output.model:q}"
                " --spec {output.spec:q} --training {output.training:q} 2>&1 | tee {log:q}"


# Something of every image, a shard at a time.
for stage in map(STAGES.get, giving("shards")):
    folder = f"results/{{dataset}}/{stage.name}/{{id}}"
    for method, block in methods_of(stage).items():

        rule:
            name:
                rule_of(stage, method)
            input:
                unpack(plan.inputs(stage)),
            output:
                f"{folder}/{{shard}}.zarr.zip",
            log:
                f"logs/{{dataset}}/{stage.name}/{{id}}/{{shard}}.log",
            benchmark:
                f"logs/{{dataset}}/{stage.name}/{{id}}/{{shard}}.tsv"
            wildcard_constraints:
                id=f"{method}-[0-9a-f]{{8}}" if "{method}" in stage.rule else ID,
            threads: THREADS
            resources:
                gpu=plan.gpus(stage, min(GPUS, 1)),
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                **plan.weighted_params(stage),
                program=block.program or stage.program,
            message:
                f"{stage.message} {{wildcards.id}} of {{wildcards.dataset}}, shard"
                " {wildcards.shard}"
            shell:
                "python -m workflow_scripts.{params.program} --recipe {params.recipe:q}"
                " --free {params.free:q} {params.machine} --threads {threads}"
                " --root {params.root:q} {params.mask_root} {params.inputs} {params.part}"
                " {params.weights} --output {output:q} 2>&1 | tee {log:q}"


# One table of a data set.
for stage in map(STAGES.get, giving("table")):
    folder = f"results/{{dataset}}/{stage.name}/{{id}}"
    for method, block in methods_of(stage).items():

        rule:
            name:
                rule_of(stage, method)
            input:
                unpack(plan.inputs(stage)),
            output:
                **{name: f"{folder}/{file}" for name, file in block.further_outputs.items()},
                table=f"{folder}/{stage.file}",
            log:
                f"logs/{{dataset}}/{stage.name}/{{id}}.log",
            benchmark:
                f"logs/{{dataset}}/{stage.name}/{{id}}.tsv"
            wildcard_constraints:
                id=f"{method}-[0-9a-f]{{8}}" if "{method}" in stage.rule else ID,
            threads: THREADS
            resources:
                gpu=min(GPUS, 1) if block.uses_gpu else 0,
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                **plan.params(stage),
                program=block.program or stage.program,
            message:
                f"{stage.message} {{wildcards.id}} of {{wildcards.dataset}}"
            shell:
                "python -m workflow_scripts.{params.program} --recipe {params.recipe:q}"
                " --free {params.free:q} {params.machine} --threads {threads}"
                " --root {params.root:q} {params.mask_root} {params.ood} {params.inputs}"
                " --output {output.table:q} 2>&1 | tee {log:q}"
