# What people look at.


rule examples:
    input:
        index=TRAIN,
        images=lambda wildcards: plan.example_quality(wildcards),
        model=plan.upstream("predictions", "segmenter", "model.safetensors"),
        spec=plan.upstream("predictions", "segmenter", "spec.json"),
    output:
        "results/{dataset}/examples/{id}.zarr.zip",
    log:
        "logs/{dataset}/examples/{id}.log",
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
        mem_mb=scaled(8000),
        runtime=scaled(20),
    params:
        recipe=plan.recipe("predictions"),
        source=source("segment_examples"),
        free=plan.free("predictions"),
        examples=plan.setting("report", "examples"),
        quality=lambda wildcards, input: options({"images": input.images}),
        root=plan.root,
        machine=plan.machine,
    message:
        "Segment the examples that the report shows of {wildcards.id}"
    shell:
        "python -m workflow_scripts.segment_examples --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --root {params.root:q}"
        " --count {params.examples} --index {input.index:q} {params.quality} --model {input.model:q}"
        " --spec {input.spec:q} --output {output:q} 2>&1 | tee {log:q}"


rule report_page:
    input:
        outline=plan.outline_file,
        metrics="results/metrics.csv",
        leaderboard="results/leaderboard.csv",
        warnings="results/warnings.csv",
        sweep=SWEEP,
        groups=GROUPS,
        published=plan.published,
        asked=plan.asked,
        properties=PROPERTIES,
        correlations=CORRELATIONS,
        plausibility="results/plausibility.csv",
        doubts=DOUBTS,
        sheets=plan.sheets,
        indexes=[f"results/{name}/{split}.csv" for name in plan.datasets() for split in SPLITS],
        classes=[f"results/{name}/classes.txt" for name in plan.datasets()],
        truths=[f"results/{name}/truth.csv" for name in plan.datasets(with_truth=True)],
        training=[f"{a.folder}/training.csv" for a in plan.of_stage(*giving("network"))],
        specs=[f"{a.folder}/spec.json" for a in plan.of_stage(*giving("network"))],
        curves=[f"{a.folder}/curve.csv" for a in plan.with_curve()],
        scores=[f"{a.folder}/{STAGES[a.stage].file}" for a in plan.of_stage("score")],
        images=[f"{a.folder}/images.csv" for a in plan.with_truth(*figured("labels"))],
        shards=[
            shard
            for a in plan.of_stage(
                *figured("maps", "instances", "labels"), *measured("objects"), "labels"
            )
            for shard in plan.shard_files(a)
        ],
        prototypes=[f"{a.folder}/prototypes.zarr.zip" for a in plan.of_stage("prototypes")],
        examples=[
            f"results/{a.dataset}/examples/{a.id}.zarr.zip" for a in plan.of_stage("predictions")
        ],
    output:
        report("results/report.html", category="Summary"),
    log:
        "logs/report.log",
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(20),
    params:
        source=source("write_report", *map(plan.reader, plan.datasets())),
        template=text_digest("tags2masks/report/page.html.jinja"),
        examples=plan.setting("report", "examples"),
        roots=plan.all_roots,
    message:
        "Write results/report.html"
    shell:
        "python -m workflow_scripts.write_report --outline {input.outline:q}"
        " --roots {params.roots:q} --examples {params.examples} --results results"
        " --published {input.published:q} --asked {input.asked:q} --output {output:q} 2>&1 | tee {log:q}"
