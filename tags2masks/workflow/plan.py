"""Inputs and parameters of the rules, as functions of wildcards.

Light to import: no torch, no pandas. Snakemake does not record params of functions that also take
`resources` or `output`, so a change of their value does not run a job again.
"""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from tags2masks.stages import STAGES, Stage, unnumbered
from tags2masks.supervision import SOURCE_FILES
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.catalog import weights_of
from tags2masks.workflow.described import Described
from tags2masks.workflow.ids import as_param
from tags2masks.workflow.params import free_fields, options, source
from tags2masks.workflow.started import kept


class Plan(Described):
    """Input and param functions of all rules, for a config."""

    # -- the rules of methods --------------------------------------------------------------------

    def inputs(self, stage: Stage) -> Callable:
        """Input function, for `unpack`: all input files of an artifact, by the program's options.

        Beyond tags, it gets only the supervision that its block declares.
        """

        def files(wildcards) -> dict[str, str | list[str]]:
            artifact, own = self.get(stage.name, wildcards), self.own(wildcards)
            split = self._split(stage, wildcards)
            # Helpers use training images, also for maps of val's images.
            splits = [split, "train"] if getattr(artifact.block, "helpers", ()) else [split]
            index = [f"{own}/{name}.csv" for name in dict.fromkeys(splits)]
            tables = {"index": index, "classes": f"{own}/classes.txt"}
            named = {name: tables[name] for name in stage.reads}
            for word in artifact.block.learns_from:
                if word in SOURCE_FILES:
                    name = SOURCE_FILES[word]
                    of = "val-" if split == "val" else ""
                    named[name] = f"{own}/{of}{name}.csv"
            if "ood" in artifact.block.learns_from:
                pairs = self.candidate_splits(artifact)
                named["candidates"] = [f"results/{name}/{of}.csv" for name, of in pairs]
            named |= artifact.block.folders()
            for role, upstream in artifact.upstream.items():
                for option, given in self._upstream_files(
                    stage, unnumbered(role), upstream, wildcards
                ).items():
                    if unnumbered(role) == role:
                        named[option] = given
                    else:  # one of several: they are one option, in the order of the roles
                        more = [given] if isinstance(given, str) else given
                        named[option] = [*named.get(option, []), *more]
            return named

        return files

    def _upstream_files(
        self, stage: Stage, role: str, artifact: Artifact, wildcards
    ) -> dict[str, str | list[str]]:
        gives = STAGES[artifact.stage].gives
        if gives == "network":
            model, spec = f"{artifact.folder}/model.safetensors", f"{artifact.folder}/spec.json"
            # A training finds spec.json beside the model, and may have several upstream networks.
            return {role: [model]} if stage.gives == "network" else {"model": model, "spec": spec}
        if gives == "table":
            return {role: f"{artifact.folder}/{STAGES[artifact.stage].file}"}
        if stage.gives != "shards":
            return {role: self.shard_files(artifact)}
        return {role: f"{artifact.folder}/{wildcards.shard}.zarr.zip"}

    def params(self, stage: Stage) -> dict[str, Callable]:
        """The params of the rules of a stage's methods."""
        return {
            "recipe": self.recipe(stage.name),
            "source": self.source(stage),
            "free": self.free(stage.name),
            "root": self.root,
            "mask_root": self.mask_root(stage),
            "ood": self.ood(stage),
            "inputs": _options,
            "part": self.part(stage),
            "machine": self.machine,
        }

    def training_params(self, stage: Stage) -> dict[str, Callable]:
        """`params` for a stage that trains; initial weights count by content, not by path."""

        def weights(wildcards, resources) -> str:
            return options({"weights": weights_of(self.get(stage.name, wildcards))})

        def content(wildcards) -> str:
            return " ".join(map(self.file_digest, weights_of(self.get(stage.name, wildcards))))

        return self.params(stage) | {"weights": weights, "weights_content": content}

    def part(self, stage: Stage) -> Callable:
        """Param function: the arguments for the split and shard of a job."""

        def arguments(wildcards) -> str:
            if stage.gives != "shards":
                return ""
            number = wildcards.shard.rpartition("-")[-1]
            return f"--split {self._split(stage, wildcards)} --shard {number}"

        return arguments

    def _split(self, stage: Stage, wildcards) -> str:
        """The split that a job of the stage works on."""
        if stage.split == "evaluated":
            return self.config.datasets[wildcards.dataset].evaluate_on
        return getattr(wildcards, "shard", "").rpartition("-")[0] or "train"

    def source(self, stage: Stage) -> Callable:
        """Param function: the digest of the code of a stage's artifact."""

        def digest(wildcards) -> str:
            artifact = self.get(stage.name, wildcards)
            program = artifact.block.program or stage.program
            method = f"{stage.package}.{artifact.method}"
            by_name = [f"{stage.package}.learning"] if stage.gives == "network" else []
            if SOURCE_FILES.keys() & set(artifact.block.learns_from):
                by_name.append(self.reader(artifact.dataset))  # it reads the masks
            return source(program, method, *by_name, *artifact.block.modules())(wildcards)

        return digest

    # -- inputs ----------------------------------------------------------------------------------

    def upstream(self, stage: str, role: str, file: str) -> Callable:
        """Input function: a file of an upstream artifact."""
        return lambda wildcards: f"{self.get(stage, wildcards).upstream[role].folder}/{file}"

    def upstream_shards(self, stage: str, role: str) -> Callable:
        """Input function: all shards, of one split, of an upstream artifact."""
        return lambda wildcards: self.shard_files(
            self.get(stage, wildcards).upstream[role], wildcards.of
        )

    def shards(self, stage: str | None = None) -> Callable:
        """Input function: all shards of the artifact, of val if the wildcard `of` is `val-`.

        stage: the stage of the artifact; None if it is a wildcard.
        """
        return lambda wildcards: self.shard_files(
            self.get(stage or wildcards.stage, wildcards), getattr(wildcards, "of", "")
        )

    def left_out(self, stage: str | None = None) -> Callable:
        """Input function: the table of images whose masks an artifact learned from, if any."""

        def file(wildcards) -> list[str]:
            learned = self.get(stage or wildcards.stage, wildcards).supervision
            return [f"{self.own(wildcards)}/labelled.csv"] if "masks" in learned else []

        return file

    def true_masks(self, wildcards) -> str:
        """Input function: truth.csv, from which true instances are made.

        Raises ConfigError for a data set without true instances.
        """
        self.check_instances(wildcards.dataset)
        return f"{self.own(wildcards)}/truth.csv"

    def true_instances(self, wildcards) -> list[str]:
        """Input function: the shards of the true instances of the split that is measured."""
        self.check_instances(wildcards.dataset)
        count = self.config.datasets[wildcards.dataset].shards
        of = "val-" if self.measured_split()(wildcards) == "val" else ""
        return [f"{self.own(wildcards)}/true_instances/{of}{n}.zarr.zip" for n in range(count)]

    def leave_out(self, wildcards, input) -> str:
        """Param function: the argument for this table."""
        return options({"left-out": input.left_out})

    def score_file(self, stage: str) -> Callable:
        """Input function: the chosen background score of maps, or of masks, if it is chosen."""

        def file(wildcards) -> list[str]:
            score = self._score(stage, wildcards)
            return [f"{score.folder}/{STAGES['score'].file}"] if score else []

        return file

    def _score(self, stage: str, wildcards) -> Artifact | None:
        artifact = self.get(stage, wildcards)
        return self.seed_score(artifact) if stage == "maps" else artifact.upstream.get("score")

    def region_shards(self, stage: str | None = None) -> Callable:
        """Input function: the shards of the CAM that defines an artifact's regions, if any."""

        def shards(wildcards) -> list[str]:
            cam = self._region_cam(stage, wildcards)
            return self.shard_files(cam, wildcards.of) if cam else []

        return shards

    def _region_cam(self, stage: str | None, wildcards) -> Artifact | None:
        return self.cams.get((wildcards.dataset, stage or wildcards.stage, wildcards.id))

    def other_masks(self, wildcards) -> list[str]:
        """Input function: the shards of the masks that an artifact is compared with."""
        artifact = self.get(wildcards.stage, wildcards)
        return [shard for other in self.others(artifact) for shard in self.shard_files(other)]

    def sheet_folders(self, of: str) -> Callable:
        """Input function: the pictures of all shards on a contact sheet; of: `images` or `{id}`."""

        def folders(wildcards) -> list[str]:
            name, count = of.format(id=wildcards.id), self.config.datasets[wildcards.dataset].shards
            return [f"{self.own(wildcards)}/sheets/{name}/{shard}" for shard in range(count)]

        return folders

    def example_quality(self, wildcards) -> list[str]:
        """Input function: the table of each image's quality, for the choice of examples."""
        masks = self.get("predictions", wildcards).upstream["segmenter"].upstream["masks"]
        known = self.config.datasets[wildcards.dataset].has_truth
        return [f"{masks.folder}/images.csv"] if known else []

    def predictor_file(self, file: str) -> Callable:
        """Input function: a file of the segmenter for new images."""
        return lambda wildcards: (
            f"{self.predictor(wildcards.name).upstream['segmenter'].folder}/{file}"
        )

    def image_folder(self, wildcards) -> list[str]:
        """Input function: the folder of images without tags, if it exists and no table lists them.

        So added images are listed.
        """
        spec = self.config.datasets[wildcards.dataset]
        if spec.tagged or spec.index_files("ood") or not Path(spec.images).is_dir():
            return []
        return [spec.images]

    def predicted_images(self, wildcards) -> list[str]:
        """Input function: the folder of new images, if it exists; otherwise the job reports it."""
        folder = self.config.predict[wildcards.name].images
        return [folder] if Path(folder).is_dir() else []

    # -- recorded parameters ---------------------------------------------------------------------

    def recipe(self, stage: str) -> Callable:
        """Param function: the artifact's recipe, as one line of JSON."""
        return lambda wildcards: as_param(self.get(stage, wildcards).recipe)

    def measured_split(self, stage: str | None = None) -> Callable:
        """Param function: the split that an artifact is measured on."""

        def split(wildcards) -> str:
            if STAGES[stage or wildcards.stage].split == "evaluated":
                return self.config.datasets[wildcards.dataset].evaluate_on
            return "val" if getattr(wildcards, "of", "") else "train"

        return split

    def measured_index(self, stage: str | None = None) -> Callable:
        """Input function: the index of this split."""
        split = self.measured_split(stage)
        return lambda wildcards: f"{self.own(wildcards)}/{split(wildcards)}.csv"

    def shard_part(self, wildcards) -> str:
        """Param function: the arguments for the split and shard of true instances."""
        prefix, _, number = wildcards.shard.rpartition("-")
        return f"--split {prefix or 'train'} --shard {number}"

    def shard_index(self, wildcards) -> str:
        """Input function: the index of the split that a shard is of."""
        return f"{self.own(wildcards)}/{wildcards.shard.rpartition('-')[0] or 'train'}.csv"

    def measuring_source(self, script: str) -> Callable:
        """Param function: the digest of a program that uses the data set's reader."""
        return lambda wildcards: source(script, self.reader(wildcards.dataset))(wildcards)

    def scoring_source(self, wildcards) -> str:
        """Param function: the digest of the program that measures a mask method's scores."""
        method = self.get("masks", wildcards).method
        digest_of = source("measure_scores", self.reader(wildcards.dataset), f"masks.{method}")
        return digest_of(wildcards)

    def classifying_source(self, wildcards) -> str:
        """Param function: the digest of the program that measures a classifier on tags."""
        method = self.get("classifier", wildcards).method
        return source("measure_classifier", f"classifiers.{method}")(wildcards)

    def epochs_source(self, wildcards) -> str:
        """Param function: the digest of the program that measures maps after each epoch."""
        maps = self.get("maps", wildcards)
        parts = [f"maps.{maps.method}", f"classifiers.{maps.upstream['classifier'].method}"]
        return source("measure_epochs", self.reader(wildcards.dataset), *parts)(wildcards)

    def setting(self, block: str, name: str) -> Callable:
        """Param function: a value of `evaluation` or `report`."""
        value = getattr(getattr(self.config, block), name)
        return lambda wildcards: kept(f"{block}.{name}", value, f"{block}.{name} of the config")

    def seed_at(self, wildcards) -> str:
        """Param function: the arguments for the background score at which maps are measured."""
        score = self.seed_score(self.get("maps", wildcards))
        name, number = "evaluation.background_score", self.config.evaluation.background_score
        kept(name, str(number), f"{name} of the config")
        return f"--score-id {score.id}" if score else f"--background-score {number}"

    def object_scores(self, wildcards) -> str:
        """Param function: the arguments for the scores at which objects are measured.

        Masks of objects have one, at which all of theirs are 1.
        """
        block, masks = self.get(wildcards.stage, wildcards).block, wildcards.stage == "object_masks"
        steps = 0 if masks else self.config.evaluation.thresholds
        return f"--score {0.5 if masks else block.score:g} --thresholds {steps}"

    def predictor_recipe(self, wildcards) -> str:
        """Param function: the recipe of the predictions for new images."""
        return as_param(self.predictor(wildcards.name).recipe)

    def region_cam(self, stage: str | None = None) -> Callable:
        """Param function: the argument for this CAM, if there is one."""

        def argument(wildcards) -> str:
            cam = self._region_cam(stage, wildcards)
            return f"--cam {cam.id}" if cam else ""

        return argument

    def localized(self, wildcards) -> str:
        """Param function: the argument for the number of images with maps, if not all."""
        count = self.get("maps", wildcards).block.images
        return f"--only {count}" if count else ""

    def compared(self, wildcards) -> str:
        """Param function: the argument with the ids of the masks to compare with, if any."""
        others = self.others(self.get(wildcards.stage, wildcards))
        return options({"others": [other.id for other in others]})

    def sheet_title(self, wildcards) -> str:
        """Param function: the entries that lead to masks, in the first experiment with them."""
        masks = self.get("masks", wildcards)
        return next(
            "/".join(entry.name for entry in experiment.chain[: depth + 1])
            + (f"@{experiment.seed}" if experiment.repeated else "")
            for experiment in self.experiments
            for depth, artifact in experiment.products
            if artifact.key == masks.key
        )

    def epoch_counts(self, wildcards) -> str:
        """Param function: the arguments for the numbers of epochs, shards and images."""
        maps = self.get("maps", wildcards)
        images = min(filter(None, [self.config.evaluation.epoch_images, maps.block.images]))
        shards = " ".join(f"{n}.zarr.zip" for n in range(len(self.shard_files(maps))))
        epochs = maps.upstream["classifier"].block.epochs
        return f"--only {images} --epochs {epochs} --shards {shards}"

    # -- parameters that Snakemake does not record -----------------------------------------------

    def root(self, wildcards, resources) -> str:
        """Param function: the folder of the images."""
        return self.config.datasets[wildcards.dataset].image_root(self.own(wildcards))

    def predicted_folder(self, wildcards, resources) -> str:
        """Param function: the folder of new images."""
        return self.config.predict[wildcards.name].images

    def dataset_free(self, wildcards, resources) -> str:
        """Param function: the fields of the data set that are not in recipes, as JSON."""
        return as_param(free_fields(self.config.datasets[wildcards.dataset]))

    def truth_root(self, wildcards, resources) -> str:
        """Param function: the folder of the masks; for evaluation only."""
        return self.config.datasets[wildcards.dataset].truth_root(self.own(wildcards))

    def mask_root(self, stage: Stage) -> Callable:
        """Param function: the argument for the folder of masks to learn from, if declared."""

        def argument(wildcards, resources) -> str:
            if "masks" not in self.get(stage.name, wildcards).block.learns_from:
                return ""
            return options({"mask-root": self.truth_root(wildcards, resources)})

        return argument

    def ood(self, stage: Stage) -> Callable:
        """Param function: the arguments for the folder of the candidates and a person's table."""

        def arguments(wildcards, resources) -> str:
            artifact = self.get(stage.name, wildcards)
            if "ood" not in artifact.block.learns_from:
                return ""
            pool = artifact.block.candidates or artifact.dataset
            root = self.config.datasets[pool].image_root(f"results/{pool}")
            table = getattr(artifact.block, "keep_table", None)
            return options({"candidate-root": root} | ({"keep": str(table)} if table else {}))

        return arguments

    def train_tables(self, wildcards, input) -> str:
        """Param function: the arguments for the tables of the training images, if there are any."""
        given = dict(input.items())
        return options({name: given[name] for name in ("train", "classes") if name in given})

    def all_roots(self, wildcards, resources) -> str:
        """Param function: the folders of images and masks of every data set, as JSON."""
        roots = {}
        for name in self.datasets():
            of_dataset = SimpleNamespace(dataset=name)
            spec = self.config.datasets[name]
            truth_root = self.truth_root(of_dataset, resources) if spec.has_truth else None
            roots[name] = {
                "root": self.root(of_dataset, resources),
                "truth_root": truth_root,
                "spec": json.loads(self.truth_recipe(of_dataset))["dataset"],
            }
        return as_param(roots)

    def needed(self, split: str) -> Callable:
        """Param function: the argument that is set if experiments are evaluated on this split."""

        def argument(wildcards, resources) -> str:
            tested = {a.dataset for a in self.of_stage("predictions")}
            on = self.config.datasets[wildcards.dataset].evaluate_on
            return "--needed" if wildcards.dataset in tested and on == split else ""

        return argument

    def own(self, wildcards) -> str:
        """The folder of a data set's results."""
        return f"results/{wildcards.dataset}"

    def free(self, stage: str) -> Callable:
        """Param function: the fields of the artifact's block that are not in recipes, as JSON."""
        return lambda wildcards, resources: as_param(free_fields(self.get(stage, wildcards).block))

    def machine(self, wildcards, resources) -> str:
        """Param function: the arguments for the machine of a job."""
        config = self.config
        parts = [f"--device {config.device}", f"--devices {config.devices}"]
        parts += [] if config.workers is None else [f"--workers {config.workers}"]
        parts += [self.dask(wildcards, resources)]
        return " ".join(filter(None, parts))

    def dask(self, wildcards, resources) -> str:
        """Param function: the argument for a Dask scheduler, if there is one."""
        return f"--dask {shlex.quote(self.config.dask)}" if self.config.dask else ""


def _options(wildcards, input, resources) -> str:
    """Param function: the input files as options of the program."""
    return options(dict(input.items()))
