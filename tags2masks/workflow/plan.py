"""Everything the rules ask of the config: artifacts by wildcards, parameters, places, resources.

Light to import: no torch, no pandas. Functions that take `resources` or `output` beside the
wildcards give what Snakemake does not record, and so what runs nothing again when it changes.
"""

import hashlib
import json
import shlex
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

from tags2masks.config import masks
from tags2masks.config.base import Block, ConfigError
from tags2masks.config.datasets import MNIST_FILES
from tags2masks.config.project import Config, choices, parse_config
from tags2masks.files import written_whole
from tags2masks.workflow.artifacts import (
    Artifact,
    Experiment,
    all_artifacts,
    build_experiments,
    reference_cams,
)
from tags2masks.workflow.ids import canonical, digest
from tags2masks.workflow.sources import ROOT, source_digest
from tags2masks.workflow.started import kept

# Methods of masks that are thresholded scores, and so have a quality at every background score.
SWEPT = [name for name, block in masks.METHODS.items() if getattr(block, "swept", False)]


class Plan:
    """A config's experiments, artifacts, and what each rule needs to know of them.

    Raises ConfigError for a config that cannot be run.
    """

    def __init__(self, raw: dict):
        self.config: Config = parse_config(raw)
        if "predict" in self.config.datasets:
            raise ConfigError("datasets.predict: this name is taken by results/predict; rename it")
        self.experiments = build_experiments(self.config)
        self.artifacts = all_artifacts(self.experiments)
        with_regions = self.config.evaluation.regions
        self.cams = reference_cams(self.config, self.experiments) if with_regions else {}
        # Made for measuring alone: in no experiment, and so in no table.
        self._extra = {(a.dataset, a.stage, a.id): a for a in self.cams.values()}
        self._check_files()

    def _check_files(self) -> None:
        """What would end as a puzzling missing input is told here by its key."""
        for name in self.datasets():
            for path in self.index_inputs(name):
                if not Path(path).exists():
                    raise ConfigError(
                        f"datasets.{name}: {path} does not exist; correct its path or root"
                    )
        for artifact in self.artifacts.values():
            for path in weights_of(artifact):
                if not Path(path).is_file():
                    raise ConfigError(
                        f"{artifact.stage} {artifact.id}: backbone.weights: {path} does not exist"
                    )
        for name, wanted in self.config.predict.items():
            self.predictor(name)
            if not Path(wanted.images).is_dir():
                raise ConfigError(f"predict.{name}.images: {wanted.images} is no folder")

    # -- what there is ---------------------------------------------------------------------------

    def get(self, stage: str, wildcards) -> Artifact:
        """The artifact that a path's wildcards `dataset` and `id` speak of."""
        key = (wildcards.dataset, stage, wildcards.id)
        artifacts = self._extra | self.artifacts
        if key not in artifacts:
            known = [i for d, s, i in artifacts if (d, s) == key[:2]]
            raise ConfigError(
                f"results/{wildcards.dataset}/{stage}/{wildcards.id}: no experiment of this config "
                f"makes it; {choices(wildcards.id, known)}"
            )
        return artifacts[key]

    def datasets(self, with_truth: bool = False) -> list[str]:
        """The data sets that experiments use; those with pixel masks alone, if so asked."""
        names = dict.fromkeys(e.dataset for e in self.experiments)
        return [n for n in names if self.config.datasets[n].has_truth or not with_truth]

    def of_stage(self, *stages: str) -> list[Artifact]:
        """All artifacts of the stages, each once."""
        return [a for (_, stage, _), a in self.artifacts.items() if stage in stages]

    def with_truth(self, *stages: str) -> list[Artifact]:
        """Those among them whose data set has pixel masks to be measured against."""
        return [a for a in self.of_stage(*stages) if self.config.datasets[a.dataset].has_truth]

    def with_curve(self) -> list[Artifact]:
        """Those that are measured at every background score."""
        found = self.with_truth("maps", "masks")
        return [a for a in found if a.stage == "maps" or a.method in SWEPT]

    def datasets_of_kind(self, kind: str) -> str:
        """A regular expression of the data sets that one reader is for; matches none if none."""
        names = [n for n, spec in self.config.datasets.items() if spec.kind == kind]
        return "|".join(name.replace(".", r"\.") for name in names) or "(?!)"

    def shard_files(self, artifact: Artifact) -> list[str]:
        """The artifact's shards, in order."""
        count = self.config.datasets[artifact.dataset].shards
        return [f"{artifact.folder}/{number}.zarr.zip" for number in range(count)]

    @property
    def step_tables(self) -> list[str]:
        """The figures of every step, of the maps that keep them."""
        kept = [a for a in self.with_truth("maps") if getattr(a.block, "keep_steps", False)]
        return [f"{a.folder}/steps.csv" for a in kept]

    @property
    def lineages(self) -> list[str]:
        """The files that say of every artifact what it was made of."""
        return [f"{a.folder}/lineage.json" for a in self.artifacts.values()]

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

    def _region_cam(self, stage: str | None, wildcards) -> Artifact | None:
        return self.cams.get((wildcards.dataset, stage or wildcards.stage, wildcards.id))

    def weights(self, stage: str) -> Callable:
        """Input function: the file of initial weights, if the config names one."""
        return lambda wildcards: weights_of(self.get(stage, wildcards))

    def classifier_start(self, wildcards) -> list[str]:
        """Input function: the classifier that a segmenter's encoder starts from, if it does."""
        start = self.get("segmenter", wildcards).upstream.get("classifier")
        return [f"{start.folder}/model.safetensors"] if start else []

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

    def index_inputs(self, dataset: str) -> list[str]:
        """The files that list a data set's images."""
        spec = self.config.datasets[dataset]
        if spec.kind == "folder":
            return [spec.tags]
        if spec.kind == "voc":
            lists = Path(spec.root) / "ImageSets" / "Segmentation"
            return [str(lists / f"{name}.txt") for name in (spec.train_list, spec.val_list)]
        if spec.kind == "mnist":
            plain = [Path(spec.root) / name for pair in MNIST_FILES.values() for name in pair]
            return [str(path) if path.is_file() else f"{path}.gz" for path in plain]
        return []

    # -- recorded parameters ---------------------------------------------------------------------

    def recipe(self, stage: str) -> Callable:
        """Param function: what the artifact is made of, as one line of JSON."""
        return lambda wildcards: canonical(self.get(stage, wildcards).recipe)

    def dataset_recipe(self, wildcards) -> str:
        """Param function: the data set's part of a recipe."""
        key = self.config.datasets[wildcards.dataset].key()
        return canonical({"seed": self.config.seed, "dataset": key})

    def truth_recipe(self, wildcards) -> str:
        """Param function: the same, and how the masks are to be read."""
        spec = self.config.datasets[wildcards.dataset]
        reading = {"others": spec.others} if spec.kind == "voc" else {}
        key = self.config.datasets[wildcards.dataset].key() | reading
        value = canonical({"seed": self.config.seed, "dataset": key})
        return kept(f"truth of {wildcards.dataset}", value, f"datasets.{wildcards.dataset}")

    def measured_split(self, wildcards) -> str:
        """Param function: the split whose images an artifact is measured on."""
        if wildcards.stage == "predictions":
            return self.config.datasets[wildcards.dataset].evaluate_on
        return "train"

    def measuring_source(self, script: str) -> Callable:
        """Param function: the digest of a program that reads masks with the data set's reader."""
        return lambda wildcards: source(script, self.reader(wildcards.dataset))(wildcards)

    def setting(self, block: str, name: str) -> Callable:
        """Param function: a value of `evaluation` or `report`."""
        value = getattr(getattr(self.config, block), name)
        return lambda wildcards: kept(f"{block}.{name}", value, f"{block}.{name} of the config")

    def scoring_source(self, wildcards) -> str:
        """Param function: the same of the one that makes a mask method's scores again."""
        method = self.get("masks", wildcards).method
        digest_of = source("measure_scores", self.reader(wildcards.dataset), f"masks.{method}")
        return digest_of(wildcards)

    def reader(self, dataset: str) -> str:
        """The module that reads a data set."""
        return f"data.{self.config.datasets[dataset].kind}"

    def predictor_recipe(self, wildcards) -> str:
        """Param function: the recipe of the predictions that new images get."""
        return canonical(self.predictor(wildcards.name).recipe)

    def shard_count(self, wildcards) -> int:
        """Param function: how many shards the index deals the images out to."""
        value, where = self.config.datasets[wildcards.dataset].shards, wildcards.dataset
        return kept(f"shards of {where}", value, f"datasets.{where}.shards")

    def localizing(self, method: str) -> dict[str, Callable]:
        """The params of a rule of maps. A helper's file is an input of the helper's name."""
        helpers = ("prototypes",)

        def given(wildcards, input) -> str:
            return " ".join(option(name, [input[name]]) for name in helpers if hasattr(input, name))

        return {
            "recipe": self.recipe("maps"),
            "source": source("localize", f"maps.{method}"),
            "free": self.free("maps"),
            "root": self.root,
            "machine": self.machine,
            "helpers": given,
        }

    # -- parameters that Snakemake does not record -----------------------------------------------

    def root(self, wildcards, resources) -> str:
        """Param function: where the images are."""
        spec = self.config.datasets[wildcards.dataset]
        places = {"folder": "images", "voc": "root"}
        return getattr(spec, places[spec.kind]) if spec.kind in places else self.own(wildcards)

    def tags(self, wildcards, resources) -> str:
        """Param function: the argument that says where a folder's table of tags is."""
        return option("tags", self.index_inputs(wildcards.dataset))

    def files_root(self, wildcards, resources) -> str:
        """Param function: the folder of files that images are unpacked from."""
        return self.config.datasets[wildcards.dataset].root

    def truth_root(self, wildcards, resources) -> str:
        """Param function: where the masks are; for evaluation alone."""
        spec = self.config.datasets[wildcards.dataset]
        return spec.masks if spec.kind == "folder" else self.root(wildcards, resources)

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

    # -- experiments to look at ------------------------------------------------------------------

    @cached_property
    def outline(self) -> str:
        """The experiments with their artifacts and what these are made of, as JSON.

        Beside them all else that the tables and the report depend on.
        """
        evaluation = self.config.evaluation
        experiments = [
            {
                "experiment": e.name,
                "dataset": e.dataset,
                "has_truth": self.config.datasets[e.dataset].has_truth,
                "evaluate_on": self.config.datasets[e.dataset].evaluate_on,
                "artifacts": {stage: a.id for stage, a in e.artifacts.items()},
                "images": e.artifacts["maps"].block.images if "maps" in e.artifacts else None,
            }
            | _setting(e)
            for e in self.experiments
        ]
        return canonical(
            {
                "experiments": experiments,
                "evaluation": {
                    "background_score": evaluation.background_score,
                    "thresholds": evaluation.thresholds,
                },
                "report": {"examples": self.config.report.examples},
            }
        )

    @property
    def outline_file(self) -> str:
        """Where the outline is written: another outline, another file.

        So tables of another config are seen to be old even where Snakemake's records are lost.
        """
        return f"results/experiments-{digest(self.outline)}.json"

    def write_outline(self) -> None:
        """Write that file, and remove those of other configs, and what killed runs left of them."""
        for earlier in Path("results").glob("*experiments-????????.json*"):
            earlier.unlink()
        with written_whole(self.outline_file) as beside:
            beside.write_text(self.outline, encoding="utf-8")

    def description(self, what: str, dataset: str) -> str:
        """All that a data set's index (`dataset`) or truth (`truth`) is made from, as JSON.

        Of the files that list the images it holds the content, not the place.
        """
        one = SimpleNamespace(dataset=dataset)
        if what == "truth":
            return self.truth_recipe(one)
        tables = {Path(p).name: digest(Path(p).read_bytes()) for p in self.index_inputs(dataset)}
        about = {"shards": self.shard_count(one), "tables": tables}
        return canonical(json.loads(self.dataset_recipe(one)) | about)

    def description_file(self, what: str, dataset: str) -> str:
        """Where it is written: named by its content for the same reason as the outline."""
        return f"results/{dataset}/{what}-{digest(self.description(what, dataset))}.json"

    @property
    def description_files(self) -> list[str]:
        """Those of all data sets."""
        return [self.description_file("dataset", name) for name in self.datasets()] + [
            self.description_file("truth", name) for name in self.datasets(with_truth=True)
        ]

    def described(self, what: str) -> Callable:
        """Input function: the file of `description`."""

        def file(wildcards) -> str:
            name = wildcards.dataset
            edited = f"datasets.{name} of the config, its table, or the seed"
            return kept(f"{what} file of {name}", self.description_file(what, name), edited)

        return file

    def written_outline(self, wildcards) -> str:
        """Param function: the outline."""
        return kept("outline", self.outline, "the list of experiments in the config")

    def predictor(self, name: str) -> Artifact:
        """The predictions artifact of the experiment that segments new images under this name."""
        wanted = self.config.predict[name].experiment.replace(" ", "")
        for experiment in self.experiments:
            if experiment.name == wanted:
                if "predictions" not in experiment.artifacts:
                    raise ConfigError(
                        f"predict.{name}.experiment: '{wanted}' ends before a segmenter"
                    )
                return experiment.artifacts["predictions"]
        known = [e.name for e in self.experiments if "predictions" in e.artifacts]
        raise ConfigError(
            f"predict.{name}.experiment: no experiment '{wanted}'; {choices(wanted, known)}"
        )


def _setting(experiment: Experiment) -> dict:
    """What the outline says of an experiment that is one of a sweep."""
    if experiment.setting is None:
        return {}
    parameter, value, chain = experiment.setting
    return {"sweep": {"parameter": parameter, "value": value, "chain": "/".join(chain)}}


def source(script: str, *modules: str) -> Callable:
    """Param function: digest of a program and of the methods and readers it loads by name."""
    roots = (f"workflow_scripts.{script}", *(f"tags2masks.{module}" for module in modules))
    code = f"the code of {' and '.join(roots)}"
    return lambda wildcards: kept(code, source_digest(*roots), code)


def option(name: str, paths: list[str]) -> str:
    """An option of a program for a path, if there is one, safe for the shell."""
    return " ".join(f"--{name} {shlex.quote(str(path))}" for path in paths)


def text_digest(file: str) -> Callable:
    """Param function: a digest of a file of the project that is no Python, such as a template."""
    digest = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:12]
    return lambda wildcards: kept(file, digest, file)


def weights_of(artifact: Artifact) -> list[str]:
    """The file of initial weights that an artifact's training reads, as a list of none or one."""
    backbone = getattr(artifact.block, "backbone", None)
    starts = artifact.stage in ("classifier", "segmenter") and backbone is not None
    if not starts or "classifier" in artifact.upstream or not backbone.weights_file():
        return []
    return [backbone.weights_file()]


def free_fields(block: Block) -> dict:
    """The block's own fields that are in no recipe."""
    return {
        name: getattr(block, name)
        for name, info in type(block).model_fields.items()
        if (info.json_schema_extra or {}).get("in_key") is False
    }


def scaled(amount: int) -> Callable:
    """Resource function: the amount times the attempt, so that a job killed for it gets more."""
    return lambda wildcards, attempt: amount * attempt
