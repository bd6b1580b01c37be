"""Inputs and parameters of the rules that measure, as functions of wildcards."""

from collections.abc import Callable

from tags2masks.config.base import ConfigError
from tags2masks.config.datasets import KINDS
from tags2masks.stages import STAGES
from tags2masks.workflow.analyses import analysis_files
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.described import Described
from tags2masks.workflow.ids import as_param
from tags2masks.workflow.params import options, source
from tags2masks.workflow.started import kept

# Of the names of what is made of a split's images.
PREFIXES = {"train": "", "val": "val-"}


class Measured(Described):
    """Input and param functions of measuring rules, for a config."""

    def own(self, wildcards) -> str:
        """The folder of a data set's results."""
        return f"results/{wildcards.dataset}"

    @property
    def step_tables(self) -> list[str]:
        """The tables of every step, for maps with `keep_steps`."""
        kept = [a for a in self.with_truth("maps") if getattr(a.block, "keep_steps", False)]
        return [f"{a.folder}/{of}.csv" for a in kept for of in ("steps", "amplification")]

    @property
    def epoch_tables(self) -> list[str]:
        """The tables after each epoch, if the config asks for them.

        For maps that are made from a classifier and nothing else, and not from its second network.
        """
        if self.config.evaluation.epoch_images is None:
            return []
        of_classifier = (a for a in self.with_truth("maps") if "classifier" in a.upstream)
        maps = [a for a in of_classifier if not a.block.helpers and "noc" not in a.block.needs]
        wanted = {a.key for a in self.epoch_maps()}
        return [f"{a.folder}/epochs.csv" for a in maps if a.key in wanted]

    @property
    def embeddings(self) -> list[str]:
        """The tables of features after each epoch, if the config asks for them: of `wood`."""
        if self.config.evaluation.epoch_features is None:
            return []
        return [f"{a.folder}/embedding.csv" for a in self._learned_with_ood()]

    @property
    def ood_images(self) -> list[str]:
        """The images that classifiers like `wood` learned from, if the config asks for some."""
        if self.config.report.ood_images is None:
            return []
        return [f"{a.folder}/ood.zarr.zip" for a in self._learned_with_ood()]

    def _learned_with_ood(self) -> list[Artifact]:
        return [a for a in self.of_stage("classifier") if "ood" in a.block.learns_from]

    @property
    def asked(self) -> list[str]:
        """The files that the config asks for beyond the usual ones."""
        of_classifiers = [*self.embeddings, *self.ood_images]
        return [*self.epoch_tables, *self.step_tables, *of_classifiers, *self.analyses()]

    def analyses(self) -> list[str]:
        """The files of analyses that the config asks for; raises ConfigError as they do."""
        return analysis_files(self)

    # -- inputs ----------------------------------------------------------------------------------

    def left_out(self, stage: str | None = None) -> Callable:
        """Input function: the table of images whose masks an artifact learned from, or the score at
        which it is measured; if any.
        """

        def file(wildcards) -> list[str]:
            learned = self.get(stage or wildcards.stage, wildcards).supervision
            if score := self._score(stage or wildcards.stage, wildcards):
                learned += score.supervision
            return [f"{self.own(wildcards)}/labelled.csv"] if "masks" in learned else []

        return file

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
            return self.shard_files(cam, getattr(wildcards, "of", "")) if cam else []

        return shards

    def _region_cam(self, stage: str | None, wildcards) -> Artifact | None:
        return self.cams.get((wildcards.dataset, stage or wildcards.stage, wildcards.id))

    def true_masks(self, wildcards) -> str:
        """Input function: truth.csv, from which true instances are made."""
        self._check_instances(wildcards.dataset)
        return f"{self.own(wildcards)}/truth.csv"

    def true_instances(self, wildcards) -> list[str]:
        """Input function: the shards of the true instances of the split that is measured."""
        return self._instances(wildcards, PREFIXES[self.measured_split()(wildcards)])

    def analysis_split(self, name: str) -> str:
        """The split of whose images an analysis is; train where none asks for it."""
        return getattr(getattr(self.config.evaluation, name), "split", "train")

    def analysis_index(self, name: str) -> str:
        """The index of these images."""
        return f"results/{{dataset}}/{self.analysis_split(name)}.csv"

    def analysis_boxes(self, name: str) -> str:
        """Their boxes."""
        return f"results/{{dataset}}/{PREFIXES[self.analysis_split(name)]}boxes.csv"

    def analysis_instances(self, name: str) -> Callable:
        """Input function: the shards of their true instances."""
        return lambda wildcards: self._instances(wildcards, PREFIXES[self.analysis_split(name)])

    def _instances(self, wildcards, of: str) -> list[str]:
        self._check_instances(wildcards.dataset)
        count = self.config.datasets[wildcards.dataset].shards
        return [f"{self.own(wildcards)}/true_instances/{of}{n}.zarr.zip" for n in range(count)]

    def _check_instances(self, dataset: str) -> None:
        """Raise ConfigError for a data set without true instances."""
        spec = self.config.datasets[dataset]
        if not spec.has_instances:
            raise ConfigError(
                f"datasets.{dataset}: a {spec.kind} data set"
                f"{'' if spec.has_truth else ' without masks'} has no true instances to measure "
                "instances with; data sets of kinds "
                f"{', '.join(k for k, b in KINDS.items() if 'has_instances' in vars(b))} have"
            )

    def shard_index(self, wildcards) -> str:
        """Input function: the index of the split that a shard of true instances is of."""
        return f"{self.own(wildcards)}/{wildcards.shard.rpartition('-')[0] or 'train'}.csv"

    def other_masks(self, wildcards) -> list[str]:
        """Input function: the shards of the masks that an artifact is compared with."""
        artifact = self.get(wildcards.stage, wildcards)
        return [shard for other in self.others(artifact) for shard in self.shard_files(other)]

    def measured_index(self, stage: str | None = None) -> Callable:
        """Input function: the index of this split."""
        split = self.measured_split(stage)
        return lambda wildcards: f"{self.own(wildcards)}/{split(wildcards)}.csv"

    # -- recorded parameters ---------------------------------------------------------------------

    def measured_split(self, stage: str | None = None) -> Callable:
        """Param function: the split that an artifact is measured on."""

        def split(wildcards) -> str:
            if STAGES[stage or wildcards.stage].split == "evaluated":
                return self.config.datasets[wildcards.dataset].evaluate_on
            return "val" if getattr(wildcards, "of", "") else "train"

        return split

    def shard_part(self, wildcards) -> str:
        """Param function: the arguments for the split and shard of true instances."""
        prefix, _, number = wildcards.shard.rpartition("-")
        return f"--split {prefix or 'train'} --shard {number}"

    def measuring_source(self, script: str) -> Callable:
        """Param function: the digest of a program that uses the data set's reader."""
        return lambda wildcards: source(script, self.reader(wildcards.dataset))(wildcards)

    def scoring_source(self, wildcards) -> str:
        """Param function: the digest of the program that measures a mask method's scores."""
        method = self.get("masks", wildcards).method
        digest_of = source("measure_scores", self.reader(wildcards.dataset), f"masks.{method}")
        return digest_of(wildcards)

    def applying_source(self, stage: str, script: str) -> Callable:
        """Param function: the digest of a program that applies a stage's network."""

        def digest(wildcards) -> str:
            method = self.get(stage, wildcards).method
            return source(script, f"{STAGES[stage].package}.{method}")(wildcards)

        return digest

    def epochs_source(self, wildcards) -> str:
        """Param function: the digest of the program that measures maps after each epoch."""
        maps = self.get("maps", wildcards)
        parts = [f"maps.{maps.method}", f"classifiers.{maps.upstream['classifier'].method}"]
        return source("measure_epochs", self.reader(wildcards.dataset), *parts)(wildcards)

    def ood_source(self, script: str) -> Callable:
        """Param function: the digest of a program that looks at a training like `wood`'s."""

        def digest(wildcards) -> str:
            artifact = self.get("classifier", wildcards)
            ordinary = f"classifiers.{artifact.upstream['classifier'].method}"
            return source(script, ordinary, *artifact.block.modules())(wildcards)

        return digest

    def analysis(self, name: str) -> Callable:
        """Param function: the options of an analysis, as one line of JSON."""
        block = getattr(self.config.evaluation, name)
        value = as_param(block.model_dump(mode="json")) if block else ""
        where = f"evaluation.{name}"
        return lambda wildcards: kept(where, value, f"{where} of the config")

    def analysis_source(self, stage: str, script: str) -> Callable:
        """Param function: the digest of a program that analyses an artifact's network."""

        def digest(wildcards) -> str:
            network = self.get(stage, wildcards)
            if stage == "maps":
                network = network.upstream.get("detector") or network.upstream["classifier"]
            module = f"{STAGES[network.stage].package}.{network.method}"
            return source(script, module)(wildcards)

        return digest

    def untagged_source(self, wildcards) -> str:
        """Param function: the digest of the program that localizes untagged classes."""
        maps = self.get("maps", wildcards)
        parts = [f"maps.{maps.method}", *maps.block.modules()]
        return source("localize_untagged", *parts)(wildcards)

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

    def epoch_counts(self, wildcards) -> str:
        """Param function: the arguments for the numbers of epochs, shards and images."""
        maps = self.get("maps", wildcards)
        images = min(filter(None, [self.config.evaluation.epoch_images, maps.block.images]))
        shards = " ".join(f"{n}.zarr.zip" for n in range(len(self.shard_files(maps))))
        epochs = maps.upstream["classifier"].block.epochs
        return f"--only {images} --epochs {epochs} --shards {shards}"
