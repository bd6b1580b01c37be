# A rule for each method of each stage, named as the method. What differs between them is in the
# table of stages (tags2masks/stages.py) and in the methods' config blocks (tags2masks/config/).


def training_report(stage):
    """The table of a training, as the workflow's own report shows it."""
    return report(
        f"results/{{dataset}}/{stage.name}/{{id}}/training.csv",
        category=stage.plural.capitalize(),
        labels={"data set": "{dataset}", "artifact": "{id}"},
    )


def folder(stage):
    """Where an artifact of the stage lies."""
    return f"results/{{dataset}}/{stage.name}/{{id}}"


def ids(stage, method):
    """The ids that a rule is for: a method's, or all of a stage that has one rule."""
    return f"{method}-[0-9a-f]{{8}}" if "{method}" in stage.rule else ID


# Networks, trained on all training images. The images of val are checked before, and their mAP is
# written down after each epoch of a classifier; other images of val train nothing again (`ancient`).
for stage in map(STAGES.get, giving("network")):
    for method, block in methods_of(stage).items():

        rule:
            name:
                stage.rule.format(method=method)
            input:
                unpack(plan.inputs(stage)),
                val=ancient(VAL),
            output:
                **{name: f"{folder(stage)}/{file}" for name, file in block.further_outputs.items()},
                model=f"{folder(stage)}/model.safetensors",
                spec=f"{folder(stage)}/spec.json",
                training=training_report(stage),
            log:
                f"logs/{{dataset}}/{stage.name}/{{id}}.log",
            benchmark:
                f"logs/{{dataset}}/{stage.name}/{{id}}.tsv"
            wildcard_constraints:
                id=ids(stage, method),
            threads: THREADS
            resources:
                gpu=GPUS,
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                **plan.training_params(stage),
                program=block.program or stage.program,
            message:
                f"{stage.message} {{wildcards.id}} of {{wildcards.dataset}}"
            shell:
                "python -m workflow_scripts.{params.program} --recipe {params.recipe:q}"
                " --free {params.free:q} {params.machine} --threads {threads}"
                " --source {params.source} --root {params.root:q} {params.weights}"
                " {params.mask_root} {params.inputs} --model {output.model:q} --spec {output.spec:q}"
                " --training {output.training:q} 2>&1 | tee {log:q}"


# Something of every image, a shard at a time.
for stage in map(STAGES.get, giving("shards")):
    for method, block in methods_of(stage).items():

        rule:
            name:
                stage.rule.format(method=method)
            input:
                unpack(plan.inputs(stage)),
            output:
                f"{folder(stage)}/{{shard}}.zarr.zip",
            log:
                f"logs/{{dataset}}/{stage.name}/{{id}}/{{shard}}.log",
            benchmark:
                f"logs/{{dataset}}/{stage.name}/{{id}}/{{shard}}.tsv"
            wildcard_constraints:
                id=ids(stage, method),
            threads: THREADS
            resources:
                gpu=min(GPUS, 1) if block.uses_gpu else 0,
                mem_mb=scaled(block.memory_mb),
                runtime=scaled(block.minutes),
            params:
                **plan.params(stage),
                program=block.program or stage.program,
            message:
                f"{stage.message} {{wildcards.id}} of {{wildcards.dataset}}, shard"
                " {wildcards.shard}"
            shell:
                "python -m workflow_scripts.{params.program} --recipe {params.recipe:q}"
                " --free {params.free:q} {params.machine} --threads {threads}"
                " --root {params.root:q} {params.mask_root} {params.inputs} {params.part}"
                " --output {output:q} 2>&1 | tee {log:q}"


# One table of a data set.
for stage in map(STAGES.get, giving("table")):
    for method, block in methods_of(stage).items():

        rule:
            name:
                stage.rule.format(method=method)
            input:
                unpack(plan.inputs(stage)),
            output:
                f"{folder(stage)}/{stage.name}.zarr.zip",
            log:
                f"logs/{{dataset}}/{stage.name}/{{id}}.log",
            benchmark:
                f"logs/{{dataset}}/{stage.name}/{{id}}.tsv"
            wildcard_constraints:
                id=ids(stage, method),
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
                " --root {params.root:q} {params.mask_root} {params.inputs} --output {output:q}"
                " 2>&1 | tee {log:q}"
