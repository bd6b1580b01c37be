"""Inputs and parameters of the rules, as functions of wildcards.

Light to import: no torch, no pandas. Snakemake does not record params of functions that also take
`resources` or `output`, so a change of their value does not run a job again.
"""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from tags2masks.config.crf import crfs_in
from tags2masks.config.project import Export, Predict
from tags2masks.stages import STAGES, Stage, unnumbered
from tags2masks.supervision import SOURCE_FILES
from tags2masks.workflow.artifacts import Artifact, measured_on_boxes
from tags2masks.workflow.catalog import weights_of
from tags2masks.workflow.ids import as_param
from tags2masks.workflow.measuring import Measured
from tags2masks.workflow.ood import candidate_options, candidate_tables
from tags2masks.workflow.params import free_fields, options, source
from tags2masks.workflow.started import kept


class Plan(Measured):
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
            for word in artifact.block.read_sources:
                if word in SOURCE_FILES:
                    name = SOURCE_FILES[word]
                    of = "val-" if split == "val" else ""
                    named[name] = f"{own}/{of}{name}.csv"
            named |= candidate_tables(self.config, artifact)
            named |= artifact.block.folders() | artifact.block.files()
            for role, upstream in artifact.upstream.items():
                for option, given in self._upstream_files(
                    stage, unnumbered(role), upstream, wildcards
                ).items():
                    if unnumbered(role) == role:
                        named[option] = given
                    else:  # one of several: they are one option, in the order of the roles
                        more = [given] if isinstance(given, str) else given
                        named[option] = [*named.get(option, []), *more]
            return named | _noc_files(artifact)

        return files

    def val_boxes(self, stage: Stage) -> Callable:
        """Input function: the boxes of val, if they measure the network after epochs."""

        def file(wildcards) -> list[str]:
            artifact = self.get(stage.name, wildcards)
            return [f"{self.own(wildcards)}/val-boxes.csv"] if measured_on_boxes(artifact) else []

        return file

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
            "inputs": input_options,
            "part": self.part(stage),
            "machine": self.machine,
        }

    def weighted_params(self, stage: Stage) -> dict[str, Callable]:
        """`params` for a stage with initial weights, which count by content, not by path."""

        def weights(wildcards, resources) -> str:
            return options({"weights": weights_of(self.get(stage.name, wildcards))})

        def content(wildcards) -> str:
            return " ".join(map(self.file_digest, weights_of(self.get(stage.name, wildcards))))

        return self.params(stage) | {"weights": weights, "weights_content": content}

    def part(self, stage: Stage) -> Callable:
        """Param function: the arguments for the split and shard of a job that may resume."""

        def arguments(wildcards) -> str:
            if stage.gives != "shards":
                return ""
            number = wildcards.shard.rpartition("-")[-1]
            part = f"--split {self._split(stage, wildcards)} --shard {number}"
            if not self.get(stage.name, wildcards).block.resumes:
                return part
            return f"{part} --source {self.source(stage)(wildcards)}"

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
            if "masks" in artifact.block.learns_from:
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

    def sheet_folders(self, of: str) -> Callable:
        """Input function: the pictures of all shards on a contact sheet; of: `images` or `{id}`."""

        def folders(wildcards) -> list[str]:
            name, count = of.format(id=wildcards.id), self.config.datasets[wildcards.dataset].shards
            return [f"{self.own(wildcards)}/sheets/{name}/{shard}" for shard in range(count)]

        return folders

    def example_quality(self, wildcards) -> list[str]:
        """Input function: the table of each image's quality, for the choice of examples."""
        masks = self.get("predictions", wildcards).upstream["segmenter"].upstream.get("masks")
        known = masks is not None and self.config.datasets[wildcards.dataset].has_truth
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
        """Input function: the folder of new images and their list, if these exist.

        Otherwise the job reports it.
        """
        wanted = self.config.predict[wildcards.name]
        paths = [wanted.images] + [wanted.image_list] * (wanted.image_list is not None)
        return [path for path in paths if Path(path).exists()]

    # -- recorded parameters ---------------------------------------------------------------------

    def recipe(self, stage: str) -> Callable:
        """Param function: the artifact's recipe, as one line of JSON."""
        return lambda wildcards: as_param(self.get(stage, wildcards).recipe)

    def setting(self, block: str, name: str) -> Callable:
        """Param function: a value of `evaluation` or `report`."""
        value = getattr(getattr(self.config, block), name)
        return lambda wildcards: kept(f"{block}.{name}", value, f"{block}.{name} of the config")

    def predictor_recipe(self, wildcards) -> str:
        """Param function: the recipe of the predictions for new images."""
        return as_param(self.predictor(wildcards.name).recipe)

    def predicted_also(self, wildcards) -> str:
        """Param function: the arguments for what is written beside the masks of new images."""
        wanted = self.config.predict[wildcards.name]
        listed = {} if wanted.image_list is None else {"list": wanted.image_list}
        parts = [_also(wanted), options(listed), "--probabilities" * wanted.probabilities]
        return " ".join(filter(None, parts))

    def exported_also(self, wildcards) -> str:
        """Param function: the arguments for what is written beside exported masks."""
        return _also(self.config.export)

    @property
    def exported(self) -> list[str]:
        """The folders of masks that the config names."""
        if self.config.export is None:
            return []
        return [f"{self.export_folder}/{a.dataset}/{a.id}" for a in self.of_stage("masks")]

    @property
    def export_folder(self) -> str:
        """The folder for masks that the config names, or one that is not used."""
        return self.config.export.folder if self.config.export else "results/export"

    def sheet_title(self, wildcards) -> str:
        """Param function: the entries that lead to masks, in the first experiment with them.

        The id of masks that only a chain which an entry names makes.
        """
        masks = self.get("masks", wildcards)
        titles = (
            "/".join(entry.name for entry in experiment.chain[: depth + 1])
            + (f"@{experiment.seed}" if experiment.repeated else "")
            for experiment in self.experiments
            for depth, artifact in experiment.products
            if artifact.key == masks.key
        )
        return next(titles, masks.id)

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
        """Param function: the argument for the folder of masks to learn from, if declared.

        For instances also those for all places of the data set, of which the reader reads.
        """

        def argument(wildcards, resources) -> str:
            if "masks" not in self.get(stage.name, wildcards).block.learns_from:
                return ""
            given = {"mask-root": self.truth_root(wildcards, resources)}
            if stage.name == "instances":
                given["places"] = self.dataset_free(wildcards, resources)
            return options(given)

        return argument

    def ood(self, stage: Stage) -> Callable:
        """Param function: `candidate_options` of an artifact of the stage."""
        return lambda wildcards, resources: candidate_options(
            self.config, self.get(stage.name, wildcards)
        )

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

    def free(self, stage: str) -> Callable:
        """Param function: the fields of the artifact's block that are not in recipes, as JSON."""
        return lambda wildcards, resources: as_param(free_fields(self.get(stage, wildcards).block))

    def gpus(self, stage: Stage, count: int) -> Callable:
        """Resource function: `count` for a job that runs a network, or a CRF in torch; else 0."""

        def needed(wildcards) -> int:
            block = self.get(stage.name, wildcards).block
            in_torch = any(crf.backend == "torch" for crf in crfs_in(block))
            return count if block.uses_gpu or in_torch else 0

        return needed

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


def _noc_files(artifact: Artifact) -> dict[str, str]:
    """For maps of the not-so-ordinary classifier: its weights, and what it began as."""
    if "noc" not in artifact.block.needs:
        return {}
    classifier = artifact.upstream["classifier"]
    return {
        "model": f"{classifier.folder}/{classifier.block.further_outputs['noc']}",
        "ordinary": f"{classifier.upstream['classifier'].folder}/spec.json",
    }


def _also(wanted: Export | Predict) -> str:
    given = options({"formats": list(wanted.formats)})
    return " ".join([given] * bool(given) + ["--overlays"] * wanted.overlays)


def input_options(wildcards, input, resources) -> str:
    """Param function: the input files as options of the program."""
    return options(dict(input.items()))
