# Classifiers learned from tags. One rule per method.


rule vanilla:
    input:
        index=INDEX,
        classes=CLASSES,
        weights=plan.weights("classifier"),
        ordinary=plan.ordinary_files,
    output:
        model="results/{dataset}/classifier/{id}/model.safetensors",
        spec="results/{dataset}/classifier/{id}/spec.json",
        training=report(
            "results/{dataset}/classifier/{id}/training.csv",
            category="Classifiers",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    log:
        "logs/{dataset}/classifier/{id}.log",
    benchmark:
        "logs/{dataset}/classifier/{id}.tsv"
    wildcard_constraints:
        id="vanilla-[0-9a-f]{8}",
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=scaled(16000),
        runtime=scaled(720),
    params:
        **plan.training_classifier("vanilla"),
    message:
        "Train the classifier {wildcards.id} of {wildcards.dataset}"
    shell:
        "python -m workflow_scripts.train_classifier --recipe {params.recipe:q}"
        " --free {params.free:q} {params.machine} --threads {threads} --source {params.source}"
        " --root {params.root:q} {params.weights} {params.ordinary} --index {input.index:q}"
        " --classes {input.classes:q} --model {output.model:q} --spec {output.spec:q}"
        " --training {output.training:q} 2>&1 | tee {log:q}"


use rule vanilla as puzzle with:
    wildcard_constraints:
        id="puzzle-[0-9a-f]{8}",
    params:
        **plan.training_classifier("puzzle"),


use rule vanilla as occse with:
    wildcard_constraints:
        id="occse-[0-9a-f]{8}",
    params:
        **plan.training_classifier("occse"),


use rule vanilla as poc with:
    wildcard_constraints:
        id="poc-[0-9a-f]{8}",
    params:
        **plan.training_classifier("poc"),


use rule vanilla as pnoc with:
    output:
        model="results/{dataset}/classifier/{id}/model.safetensors",
        noc="results/{dataset}/classifier/{id}/noc.safetensors",
        spec="results/{dataset}/classifier/{id}/spec.json",
        training=report(
            "results/{dataset}/classifier/{id}/training.csv",
            category="Classifiers",
            labels={"data set": "{dataset}", "artifact": "{id}"},
        ),
    wildcard_constraints:
        id="pnoc-[0-9a-f]{8}",
    params:
        **plan.training_classifier("pnoc"),


use rule vanilla as seam with:
    wildcard_constraints:
        id="seam-[0-9a-f]{8}",
    params:
        **plan.training_classifier("seam"),


use rule vanilla as sampling with:
    wildcard_constraints:
        id="sampling-[0-9a-f]{8}",
    params:
        **plan.training_classifier("sampling"),
