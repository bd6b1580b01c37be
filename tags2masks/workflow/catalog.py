"""The experiments of a config, their artifacts and files.

Light to import: no torch, no pandas.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tags2masks.config.base import ConfigError
from tags2masks.config.dataset_base import Dataset
from tags2masks.config.datasets import KINDS
from tags2masks.config.methods import METHODS
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config, parse_config
from tags2masks.given import open_given
from tags2masks.stages import SECTIONS, STAGES, measured
from tags2masks.workflow.artifacts import (
    Artifact,
    Experiment,
    all_artifacts,
    reference_cams,
    twins,
)
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.named_experiments import comparisons, lines_against
from tags2masks.workflow.ood import pools
from tags2masks.workflow.sources import module_path

# Other names in results/, which a data set cannot have.
TAKEN = re.compile(
    r"predict|README\.md|report\.html|(metrics|leaderboard|warnings|correlations|sweep|groups)\.csv"
    r"|(plausibility|doubt_correlations)\.csv"
    r"|experiments-.*\.json",
    re.IGNORECASE,
)

# Each is compared with at most this number of others: the cost is their product.
MOST_OTHERS = 8

# Stages that also process val's images, if `evaluation.splits` has val.
EVALUATED_TWICE = [stage.name for stage in SECTIONS.values() if stage.gives == "shards"]


class Catalog:
    """A config's data sets, experiments and artifacts.

    Raises ConfigError for a config that cannot be run.
    """

    def __init__(self, raw: dict):
        check_modules()
        self.config: Config = parse_config(raw)
        for name in self.config.datasets:
            if TAKEN.fullmatch(name):
                raise ConfigError(
                    f"datasets.{name}: this name is taken by results/{name}; rename it"
                )
        self.experiments = build_experiments(self.config)
        self.artifacts = all_artifacts(self.experiments)
        with_regions = self.config.evaluation.regions
        self.cams = reference_cams(self.config, self.experiments) if with_regions else {}
        # Used for measuring only; in no experiment and no table.
        self._extra = {(a.dataset, a.stage, a.id): a for a in self.cams.values()}
        self._check_twins()
        self._check_files()

    def _check_files(self) -> None:
        """Fail early, naming the config key, for files that are absent or cannot be inputs."""
        for name in [*self.datasets(), *self.pools()]:
            for path in self.config.datasets[name].all_files():
                _check_file(f"datasets.{name}", path, "; correct its path or root")
        for artifact in self.artifacts.values():
            for path in weights_of(artifact):
                _check_file(f"{artifact.stage} {artifact.id}: backbone.weights", path)
            for name, path in artifact.block.folders().items():
                where = f"{artifact.stage} {artifact.id}: {name}"
                _check_braces(where, path)
                if not Path(path).is_dir():
                    raise ConfigError(f"{where}: {path} is no folder; correct its path")
            for name, path in artifact.block.files().items():
                where = f"{artifact.stage} {artifact.id}: {name}"
                _check_braces(where, path)
                _check_file(where, path, "; correct its path")
        for path in self.published:
            _check_braces("published", path)
            _check_file("published", path, "; correct its path")
        for name in self.pools():
            _check_braces(f"datasets.{name}", self.config.datasets[name].image_root(""))
        if self.config.export:
            _check_braces("export.folder", self.config.export.folder)
        for name, wanted in self.config.predict.items():
            self.predictor(name)
            _check_braces(f"predict.{name}.images", wanted.images)
            _check_braces(f"predict.{name}.image_list", wanted.image_list or "")
        self.comparisons()
        self.lines_against()
        self._check_class_groups()
        self._check_side_by_side()
        self.epoch_maps()

    def _check_twins(self) -> None:
        """Raise ConfigError if two entries are one artifact, but read or say different things."""
        for one, other in twins(self.experiments):
            for mine, theirs in zip(_outside(one), _outside(other), strict=True):
                if mine != theirs:
                    raise ConfigError(
                        f"{one.stage} {one.id}: {mine} and {theirs} would be one artifact, since "
                        "only the last part of a path is in its id; rename one of them"
                    )
            if getattr(one.block, "score", None) != getattr(other.block, "score", None):
                raise ConfigError(
                    f"{one.stage} {one.id}: two entries differ in nothing but score, at which "
                    "their figures are measured; give both the same"
                )

    def _check_class_groups(self) -> None:
        """Raise ConfigError for groups of a data set that is not measured."""
        known = self.datasets(with_truth=True)
        for name in self.config.report.class_groups:
            if name not in known:
                raise ConfigError(
                    f"report.class_groups.{name}: no data set with pixel masks in an experiment; "
                    f"{choices(name, known)}"
                )

    def _check_side_by_side(self) -> None:
        """Raise ConfigError for images of a data set that no experiment has maps of."""
        known = list(dict.fromkeys(artifact.dataset for artifact in self.of_stage("maps")))
        for name in self.config.report.side_by_side:
            if name not in known:
                raise ConfigError(
                    f"report.side_by_side.{name}: no data set with maps in an experiment; "
                    f"{choices(name, known)}"
                )

    def comparisons(self) -> list[dict]:
        """What the report compares (`named_experiments.comparisons`)."""
        return comparisons(self.config, self.experiments)

    def lines_against(self) -> list[dict]:
        """The report's charts of chosen experiments (`named_experiments.lines_against`)."""
        return lines_against(self.config, self.experiments)

    def is_full(self, experiment: Experiment) -> bool:
        """Whether it learns from the true masks of all training images, and from nothing else."""
        learned = experiment.products[-1][1].supervision
        return learned == ("masks",) and self.config.datasets[experiment.dataset].labelled == "all"

    def get(self, stage: str, wildcards) -> Artifact:
        """The artifact of a path's wildcards `dataset` and `id`."""
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
        """The data sets that experiments use; with_truth: only those with pixel masks."""
        names = dict.fromkeys(e.dataset for e in self.experiments)
        return [n for n in names if self.config.datasets[n].has_truth or not with_truth]

    def pools(self) -> list[str]:
        """The data sets that only candidates for out-of-distribution images come from."""
        return pools(self.artifacts.values(), self.datasets())

    def of_stage(self, *stages: str) -> list[Artifact]:
        """All artifacts of the stages, each once."""
        return [a for (_, stage, _), a in self.artifacts.items() if stage in stages]

    def with_truth(self, *stages: str) -> list[Artifact]:
        """The artifacts of the stages whose data set has pixel masks."""
        return [a for a in self.of_stage(*stages) if self.config.datasets[a.dataset].has_truth]

    def with_curve(self) -> list[Artifact]:
        """The artifacts that are measured at every background score."""
        artifacts = self.with_truth("maps", "masks")
        return [a for a in artifacts if a.stage == "maps" or a.block.has_curve]

    @property
    def masks_with_curve(self) -> str:
        """A regular expression of the ids of those that are masks; it may match nothing."""
        return "|".join(a.id for a in self.with_curve() if a.stage == "masks") or "(?!)"

    def datasets_of_kind(self, kind: str, wanted: Callable[[Dataset], bool] = bool) -> str:
        """A regular expression of the names of data sets of a kind; it may match nothing.

        wanted: a condition on their block.
        """
        blocks = self.config.datasets.items()
        names = [name for name, spec in blocks if spec.kind == kind and wanted(spec)]
        return "|".join(name.replace(".", r"\.") for name in names) or "(?!)"

    def shard_files(self, artifact: Artifact, of: str = "") -> list[str]:
        """All shards of an artifact; of: `val-` for those of val's images."""
        count = self.config.datasets[artifact.dataset].shards
        return [f"{artifact.folder}/{of}{number}.zarr.zip" for number in range(count)]

    def figures(self) -> list[str]:
        """The tables of figures of all measured artifacts, on val too if so configured."""
        pixels = measured("maps", "objects", "labels")
        artifacts = self.of_stage(*measured("tags", "boxes")) + self.with_truth(*pixels)
        tables = [f"{a.folder}/{of}metrics.csv" for a in artifacts for of in self.splits_of(a)]
        return tables + [
            f"{a.folder}/{of}{'metrics' if a.stage in measured('instances') else 'instances'}.csv"
            for a in self.with_instances()
            for of in self.splits_of(a)
        ]

    def giving_instances(self) -> list[Artifact]:
        """The artifacts that are instances, or have some beside masks."""
        return [a for a in self.artifacts.values() if "instances" in a.block.offers]

    def with_instances(self) -> list[Artifact]:
        """Those of them whose data set has true instances."""
        artifacts = self.giving_instances()
        return [a for a in artifacts if self.config.datasets[a.dataset].has_instances]

    def splits_of(self, artifact: Artifact) -> list[str]:
        """Prefixes of the names of its figures: "", and "val-" if it is also measured on val."""
        twice = (
            "val" in self.config.evaluation.splits
            and artifact.stage in EVALUATED_TWICE
            and getattr(artifact.block, "images", None) is None
            and "maps" in {artifact.stage, *artifact.upstream}
        )
        return ["", "val-"] if twice else [""]

    def others(self, artifact: Artifact) -> list[Artifact]:
        """The masks that an artifact's are compared with: the first `MOST_OTHERS` of its stage,
        data set and seed that were made with no supervision that it was made without.
        """
        alike = [
            other
            for other in self.of_stage(artifact.stage)
            if other.dataset == artifact.dataset
            and other.recipe["seed"] == artifact.recipe["seed"]
            and set(other.supervision) <= set(artifact.supervision)
            and other.id != artifact.id
        ]
        return alike[:MOST_OTHERS]

    def has_sheets(self, dataset: str) -> bool:
        """Whether the masks of a data set get contact sheets."""
        wanted, spec = self.config.report.sheets, self.config.datasets[dataset]
        return wanted == "all" or (wanted == "auto" and not spec.has_truth)

    @property
    def sheets(self) -> list[str]:
        """The contact sheets of all masks that get one."""
        masks = [a for a in self.of_stage("masks") if self.has_sheets(a.dataset)]
        return [f"results/{a.dataset}/sheets/{a.id}.html" for a in masks]

    def seed_score(self, maps: Artifact) -> Artifact | None:
        """The chosen background score at which maps are measured; None for a number."""
        wanted = self.config.evaluation.background_score
        if isinstance(wanted, float):
            return None
        for score in self.of_stage("score"):
            if score.upstream["maps"].key == maps.key and score.block.key() == wanted.key():
                return score
        raise ConfigError(
            f"evaluation.background_score: auto needs a classifier, and maps {maps.id} have none; "
            "write a number"
        )

    @property
    def published(self) -> list[str]:
        """The tables of published figures for the report."""
        paths = self.config.published
        return [paths] if isinstance(paths, str) else list(paths)

    @property
    def training_warnings(self) -> list[str]:
        """The tables of warnings of trainings that write one."""
        files = {a.folder: a.block.further_outputs.get("warnings") for a in self.artifacts.values()}
        return [f"{folder}/{file}" for folder, file in files.items() if file]

    @property
    def lineages(self) -> list[str]:
        """The lineage files of all artifacts."""
        return [f"{a.folder}/lineage.json" for a in self.artifacts.values()]

    def reader(self, dataset: str) -> str:
        """The module that reads a data set."""
        return f"data.{self.config.datasets[dataset].kind}"

    def epoch_maps(self) -> list[Artifact]:
        """The maps that may be measured after each epoch; raises as `maps_of_entries`."""
        names = self.config.evaluation.epoch_maps
        if names is None:
            return self.of_stage("maps")
        return [artifact for _, artifact in self.maps_of_entries("evaluation.epoch_maps", names)]

    def maps_of_entries(self, key: str, names: Sequence[str]) -> list[tuple[str, Artifact]]:
        """The maps of these entries, each once, with the config's key and the entry.

        Raises ConfigError naming the key if no experiment goes through an entry.
        """
        found: dict[str, dict] = {}
        for experiment in self.experiments:
            for depth, artifact in experiment.products:
                if artifact.stage == "maps":
                    found.setdefault(experiment.chain[depth].name, {})[artifact.key] = artifact
        chosen = {}
        for name in names:
            if name not in found:
                raise ConfigError(
                    f"{key}: no experiment goes through maps.{name}; {choices(name, found)}"
                )
            chosen |= {of: (f"{key}: {name}", artifact) for of, artifact in found[name].items()}
        return list(chosen.values())

    def predictor(self, name: str) -> Artifact:
        """The predictions artifact of the experiment that this entry of `predict` uses."""
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


def _check_file(where: str, path: str, mend: str = "") -> None:
    """Raise ConfigError for a file that is absent or cannot be read."""
    try:
        open_given(path).close()
    except FileNotFoundError:
        raise ConfigError(f"{where}: {path} does not exist{mend}") from None
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read ({error.strerror}){mend}") from None


def _check_braces(where: str, path: str) -> None:
    """Raise ConfigError for braces in an input path: Snakemake reads them as wildcards."""
    if set(path) & set("{}"):
        raise ConfigError(f"{where}: {path} has braces in it, which Snakemake cannot read; rename")


def check_modules() -> None:
    """Raise ConfigError if a method, a kind of data set or a program has no module.

    All of them are checked, whether the config uses them or not.
    """
    needed = [("kind", kind, "datasets", f"tags2masks.data.{kind}") for kind in KINDS]
    for package, blocks in METHODS.items():
        for method, block in blocks.items():
            needed.append(("method", method, package, f"tags2masks.{package}.{method}"))
            if block.program:
                program = f"workflow_scripts.{block.program}"
                needed.append(("program of", method, package, program))
    for what, name, config, module in needed:
        if module_path(module) is None:
            raise ConfigError(
                f"{what} {name}: tags2masks/config/{config}.py has its block, but there is no "
                f"{module.replace('.', '/')}.py; write it (docs/add-a-method.md), or take the "
                "block out"
            )


def _outside(artifact: Artifact) -> list[str]:
    """The user's files and folders that an artifact is made of."""
    block = artifact.block
    return [*weights_of(artifact), *block.folders().values(), *block.files().values()]


def weights_of(artifact: Artifact) -> list[str]:
    """The file of initial weights of an artifact's backbone, as a list of at most one."""
    backbone = getattr(artifact.block, "backbone", None)
    starts = STAGES[artifact.stage].weighted and backbone is not None
    from_classifier = artifact.stage != "classifier" and "classifier" in artifact.upstream
    if not starts or from_classifier or not backbone.weights_file():
        return []
    return [backbone.weights_file()]
