"""Everything the rules ask of the config: inputs and parameters by wildcards.

Light to import: no torch, no pandas. Functions that take `resources` or `output` beside the
wildcards give what Snakemake does not record, and so what runs nothing again when it changes.
"""

import json
from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace

from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.catalog import weights_of
from tags2masks.workflow.described import Described
from tags2masks.workflow.ids import canonical
from tags2masks.workflow.params import free_fields, option, source
from tags2masks.workflow.started import kept


class Plan(Described):
    """What each rule needs to know of a config's artifacts, as functions of its wildcards."""

    # -- inputs ----------------------------------------------------------------------------------

    def upstream(self, stage: str, role: str, file: str) -> Callable:
        """Input function: a file of what an artifact is made from."""
        return lambda wildcards: f"{self.get(stage, wildcards).upstream[role].folder}/{file}"

    def upstream_shards(self, stage: str, role: str) -> Callable:
        """Input function: all shards of what an artifact is made from."""
        return lambda wildcards: self.shard_files(self.get(stage, wildcards).upstream[role])

    def shards(self, stage: str) -> Callable:
        """Input function: all shards of the artifact itself."""
        return lambda wildcards: self.shard_files(self.get(stage, wildcards))

    def region_shards(self, stage: str | None = None) -> Callable:
        """Input function: the shards of the CAM that tells an artifact's regions apart, if any.

        stage: of the artifact; None where a wildcard says it.
        """

        def shards(wildcards) -> list[str]:
            cam = self._region_cam(stage, wildcards)
            return self.shard_files(cam) if cam else []

        return shards

    def _region_cam(self, stage: str | None, wildcards) -> Artifact | None:
        return self.cams.get((wildcards.dataset, stage or wildcards.stage, wildcards.id))

    def weights(self, stage: str) -> Callable:
        """Input function: the file of initial weights, if the config names one."""
        return lambda wildcards: weights_of(self.get(stage, wildcards))

    def classifier_start(self, stage: str) -> Callable:
        """Input function: the classifier that a training's backbone starts from, if it does."""

        def file(wildcards) -> list[str]:
            start = self.get(stage, wildcards).upstream.get("classifier")
            return [f"{start.folder}/model.safetensors"] if start else []

        return file

    def ordinary_files(self, wildcards) -> list[str]:
        """Input function: model and spec of the ordinary classifier that one is trained with."""
        ordinary = self.get("classifier", wildcards).upstream.get("classifier")
        names = ("model.safetensors", "spec.json") if ordinary else ()
        return [f"{ordinary.folder}/{name}" for name in names]

    def example_quality(self, wildcards) -> list[str]:
        """Input function: each image's quality, by which a report picks its examples."""
        masks = self.get("predictions", wildcards).upstream["segmenter"].upstream["masks"]
        known = self.config.datasets[wildcards.dataset].has_truth
        return [f"{masks.folder}/images.csv"] if known else []

    def predictor_file(self, file: str) -> Callable:
        """Input function: a file of the segmenter that new images are given to."""
        return lambda wildcards: (
            f"{self.predictor(wildcards.name).upstream['segmenter'].folder}/{file}"
        )

    # -- recorded parameters ---------------------------------------------------------------------

    def recipe(self, stage: str) -> Callable:
        """Param function: what the artifact is made of, as one line of JSON."""
        return lambda wildcards: canonical(self.get(stage, wildcards).recipe)

    def measured_split(self, wildcards) -> str:
        """Param function: the split whose images an artifact is measured on."""
        if wildcards.stage == "predictions":
            return self.config.datasets[wildcards.dataset].evaluate_on
        return "train"

    def measuring_source(self, script: str) -> Callable:
        """Param function: the digest of a program that reads masks with the data set's reader."""
        return lambda wildcards: source(script, self.reader(wildcards.dataset))(wildcards)

    def scoring_source(self, wildcards) -> str:
        """Param function: the same of the one that makes a mask method's scores again."""
        method = self.get("masks", wildcards).method
        digest_of = source("measure_scores", self.reader(wildcards.dataset), f"masks.{method}")
        return digest_of(wildcards)

    def epochs_source(self, wildcards) -> str:
        """Param function: the same of the one that makes and measures maps after each epoch."""
        maps = self.get("maps", wildcards)
        parts = [f"maps.{maps.method}", f"classifiers.{maps.upstream['classifier'].method}"]
        return source("measure_epochs", self.reader(wildcards.dataset), *parts)(wildcards)

    def setting(self, block: str, name: str) -> Callable:
        """Param function: a value of `evaluation` or `report`."""
        value = getattr(getattr(self.config, block), name)
        return lambda wildcards: kept(f"{block}.{name}", value, f"{block}.{name} of the config")

    def predictor_recipe(self, wildcards) -> str:
        """Param function: the recipe of the predictions that new images get."""
        return canonical(self.predictor(wildcards.name).recipe)

    def region_cam(self, stage: str | None = None) -> Callable:
        """Param function: the argument that names this CAM, if there is one."""

        def argument(wildcards) -> str:
            cam = self._region_cam(stage, wildcards)
            return f"--cam {cam.id}" if cam else ""

        return argument

    def localized(self, wildcards) -> str:
        """Param function: the argument that says how many images have maps, if not all."""
        count = self.get("maps", wildcards).block.images
        return f"--only {count}" if count else ""

    def epoch_counts(self, wildcards) -> str:
        """Param function: the arguments that say how many epochs, shards and images there are."""
        maps = self.get("maps", wildcards)
        images = min(filter(None, [self.config.evaluation.epoch_images, maps.block.images]))
        shards = " ".join(f"{n}.zarr.zip" for n in range(len(self.shard_files(maps))))
        epochs = maps.upstream["classifier"].block.epochs
        return f"--only {images} --epochs {epochs} --shards {shards}"

    def localizing(self, method: str) -> dict[str, Callable]:
        """The params of a rule of maps. A helper's file is an input of the helper's name."""
        plain = {"index", "model", "spec"}

        def given(wildcards, input) -> str:
            helpers = [(name, file) for name, file in input.items() if name not in plain]
            return " ".join(option(name, [file]) for name, file in helpers)

        return {
            "recipe": self.recipe("maps"),
            "source": source("localize", f"maps.{method}"),
            "free": self.free("maps"),
            "root": self.root,
            "machine": self.machine,
            "helpers": given,
        }

    def training_classifier(self, method: str) -> dict[str, Callable]:
        """The params of a rule that trains a classifier."""
        return {
            "recipe": self.recipe("classifier"),
            "source": source("train_classifier", f"classifiers.{method}"),
            "free": self.free("classifier"),
            "root": self.root,
            "machine": self.machine,
            "weights": lambda wildcards, input: option("weights", input.weights),
            "ordinary": lambda wildcards, input: option("ordinary", input.ordinary[:1]),
        }

    def masking(self, method: str, stage: str = "masks") -> dict[str, Callable]:
        """The params of a rule that makes masks from maps and images alone."""
        return {
            "recipe": self.recipe(stage),
            "source": source("make_masks", f"masks.{method}"),
            "free": self.free(stage),
            "root": self.root,
            "scheduler": self.scheduler,
        }

    def walking(self, method: str) -> dict[str, Callable]:
        """The params of a rule that makes masks with an affinity network."""
        code = source("walk_shard", f"masks.{method}", f"affinity.{method}")
        return self.masking(method) | {"source": code, "machine": self.machine}

    def training_affinity(self, method: str) -> dict[str, Callable]:
        """The params of a rule that trains an affinity network."""
        return self._training("affinity", source("train_affinity", f"affinity.{method}"))

    def training_segmenter(self, method: str) -> dict[str, Callable]:
        """The params of a rule that trains a segmenter."""

        def code(wildcards) -> str:
            grows = self.get("segmenter", wildcards).block.growing is not None
            further = ["segmenters.dsrg"] if grows else []
            return source("train_segmenter", f"segmenters.{method}", *further)(wildcards)

        return self._training("segmenter", code)

    def _training(self, stage: str, code: Callable) -> dict[str, Callable]:
        return {
            "recipe": self.recipe(stage),
            "source": code,
            "free": self.free(stage),
            "root": self.root,
            "machine": self.machine,
            "weights": lambda wildcards, input: option("weights", input.weights),
            "classifier": lambda wildcards, input: option("classifier", input.classifier),
        }

    # -- parameters that Snakemake does not record -----------------------------------------------

    def root(self, wildcards, resources) -> str:
        """Param function: where the images are."""
        return self.config.datasets[wildcards.dataset].image_root(self.own(wildcards))

    def dataset_free(self, wildcards, resources) -> str:
        """Param function: the fields of the data set that are in no recipe, as JSON."""
        return json.dumps(free_fields(self.config.datasets[wildcards.dataset]))

    def truth_root(self, wildcards, resources) -> str:
        """Param function: where the masks are; for evaluation alone."""
        return self.config.datasets[wildcards.dataset].truth_root(self.own(wildcards))

    def all_roots(self, wildcards, resources) -> str:
        """Param function: where the images and masks of every data set are, as JSON."""
        roots = {}
        for name in self.datasets():
            one = SimpleNamespace(dataset=name)
            spec = self.config.datasets[name]
            truth_root = self.truth_root(one, resources) if spec.has_truth else None
            roots[name] = {
                "root": self.root(one, resources),
                "truth_root": truth_root,
                "spec": json.loads(self.truth_recipe(one))["dataset"],
            }
        return canonical(roots)

    def needed_split(self, wildcards, resources) -> str:
        """Param function: the argument that names the split which experiments are tested on."""
        tested = {a.dataset for a in self.of_stage("predictions")}
        split = self.config.datasets[wildcards.dataset].evaluate_on
        return f"--needs {split}" if wildcards.dataset in tested else ""

    def own(self, wildcards) -> str:
        """The folder of a data set's results."""
        return f"results/{wildcards.dataset}"

    def free(self, stage: str) -> Callable:
        """Param function: the fields of the artifact's block that are in no recipe, as JSON."""

        def values(wildcards, resources) -> str:
            block = self.get(stage, wildcards).block
            block = block.test if stage == "predictions" else block
            return json.dumps(free_fields(block))

        return values

    def machine(self, wildcards, resources) -> str:
        """Param function: the arguments that say where a job runs."""
        config = self.config
        parts = [f"--device {config.device}", f"--devices {config.devices}"]
        parts += [] if config.workers is None else [f"--workers {config.workers}"]
        return " ".join(parts)

    @cached_property
    def scheduler(self) -> Callable:
        """Param function: the argument that names a Dask scheduler, if there is one."""
        return lambda wildcards, resources: f"--dask {self.config.dask}" if self.config.dask else ""
