"""Descriptions of a run's config in files that are named by a digest of their content.

So a changed config is detected even if Snakemake's records are lost.
"""

import json
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace

from tags2masks.files import written_whole
from tags2masks.supervision import SOURCE_FILES
from tags2masks.user_tables import SPLITS
from tags2masks.workflow.artifacts import Experiment, measured_on_boxes
from tags2masks.workflow.catalog import Catalog
from tags2masks.workflow.cited import cited
from tags2masks.workflow.ids import as_param, canonical, digest, file_digest
from tags2masks.workflow.ood import candidate_splits
from tags2masks.workflow.started import kept


class Described(Catalog):
    """A catalog with descriptions of its data sets and tables.

    Raises UserError for tables of a data set that cannot be read.
    """

    def __init__(self, raw: dict):
        super().__init__(raw)
        _ = self.description_files  # reads the tables

    def dataset_recipe(self, wildcards) -> str:
        """Param function: the part of a recipe that describes the data set."""
        key = self.config.datasets[wildcards.dataset].key()
        return as_param({"seed": self.config.seed, "dataset": key})

    def truth_recipe(self, wildcards) -> str:
        """Param function: `dataset_recipe` with the options for reading masks."""
        key = self.config.datasets[wildcards.dataset].truth_key()
        value = as_param({"seed": self.config.seed, "dataset": key})
        return _kept("truth", wildcards.dataset, value)

    def labelled_recipe(self, wildcards) -> str:
        """Param function: `dataset_recipe` with the options for masks to learn from."""
        spec = self.config.datasets[wildcards.dataset]
        key = spec.key() | spec.labelled_key()
        value = as_param({"seed": self.config.seed, "dataset": key})
        return _kept("labelled", wildcards.dataset, value)

    def boxes_recipe(self, wildcards) -> str:
        """Param function: `dataset_recipe` with the noise of boxes to learn from."""
        spec = self.config.datasets[wildcards.dataset]
        value = as_param({"seed": self.config.seed, "dataset": spec.key() | spec.boxes_key()})
        return _kept("boxes", wildcards.dataset, value)

    def shard_count(self, wildcards) -> int:
        """Param function: the number of shards of the index."""
        value, where = self.config.datasets[wildcards.dataset].shards, wildcards.dataset
        return kept(f"shards of {where}", value, f"datasets.{where}.shards")

    @cached_property
    def outline(self) -> str:
        """The experiments with the ids of their artifacts, as JSON.

        With everything else that the tables and the report depend on.
        """
        evaluation = self.config.evaluation
        number = evaluation.background_score
        experiments = [
            {
                "experiment": e.name,
                "dataset": e.dataset,
                "has_truth": self.config.datasets[e.dataset].has_truth,
                "has_instances": self.config.datasets[e.dataset].has_instances,
                "instances": [a.id for _, a in e.products if "instances" in a.block.offers],
                "evaluate_on": self.config.datasets[e.dataset].evaluate_on,
                "data": digest(canonical(self.config.datasets[e.dataset].key())),
                "seed": e.seed,
                "supervision": list(e.supervision),
                "full": self.is_full(e),
                "artifacts": {stage: a.id for stage, a in e.artifacts.items()},
                "steps": [[depth, a.stage, a.id] for depth, a in e.products],
                "objects": [[a.stage, a.id] for a in e.objects],
                "hints": _hints(e),
                "val": [a.id for _, a in e.products if len(self.splits_of(a)) > 1],
                "sheets": self.has_sheets(e.dataset),
                "images": e.artifacts["maps"].block.images if "maps" in e.artifacts else None,
                "seed_scores": self._seed_scores(e),
            }
            | _setting(e)
            for e in self.experiments
        ]
        return canonical(
            {
                "experiments": experiments,
                "artifacts": sorted(self.artifacts),
                "evaluation": {
                    "background_score": number if isinstance(number, float) else None,
                    "thresholds": evaluation.thresholds,
                },
                "report": {
                    "examples": self.config.report.examples,
                    "compare": self.comparisons(),
                    "against": self.lines_against(),
                    "sweep_figures": self.config.report.sweep_figures,
                    "class_groups": self._class_groups(),
                    "side_by_side": self.config.report.model_dump(mode="json")["side_by_side"],
                    "cited": cited(self.config, self.experiments),
                },
            }
        )

    def _class_groups(self) -> dict[str, dict[str, list[str] | dict[str, int]]]:
        """The groups of classes by data set."""
        wanted = self.config.report.model_dump(exclude_none=True)["class_groups"]
        return {
            name: {of: list(g) if isinstance(g, tuple) else g for of, g in groups.items()}
            for name, groups in wanted.items()
        }

    def _seed_scores(self, experiment: Experiment) -> dict[str, str]:
        """The ids of the background scores that were chosen to measure maps, by the maps' ids."""
        if not self.config.datasets[experiment.dataset].has_truth:
            return {}
        maps = [artifact for _, artifact in experiment.products if artifact.stage == "maps"]
        chosen = {artifact.id: self.seed_score(artifact) for artifact in maps}
        return {of: score.id for of, score in chosen.items() if score is not None}

    @property
    def outline_file(self) -> str:
        """The file of the outline, named by its digest.

        So tables of another config are out of date even if Snakemake's records are lost.
        """
        return f"results/experiments-{digest(self.outline)}.json"

    def write_outline(self) -> None:
        """Write the outline file, and remove outlines of other configs and of killed runs."""
        for earlier in Path("results").glob("*experiments-????????.json*"):
            earlier.unlink()
        with written_whole(self.outline_file) as beside:
            beside.write_text(self.outline, encoding="utf-8")

    def written_outline(self, wildcards) -> str:
        """Param function: the outline."""
        return kept("outline", self.outline, "the list of experiments in the config")

    def description(self, what: str, dataset: str) -> str:
        """Everything that a table of a data set depends on, as JSON.

        what: a split (its index), `boxes`, `val-boxes`, `labelled` or `truth`. It has digests of
        the source files' content, not their paths, and only of the part for the split: other images
        of val do not change the description of train.
        """
        wildcards = SimpleNamespace(dataset=dataset)
        recipes = {
            "boxes": self.boxes_recipe,
            "labelled": self.labelled_recipe,
            "truth": self.truth_recipe,
        }
        about = {"read_from": self._read_from(what, dataset)}
        if what in SPLITS:
            about["shards"] = self.shard_count(wildcards)
        return canonical(json.loads(recipes.get(what, self.dataset_recipe)(wildcards)) | about)

    @cached_property
    def _read_from(self) -> Callable[[str, str], dict[str, str]]:
        """The digests of a table's source files, from the data set's block; cached."""
        return cache(
            lambda what, name: self.config.datasets[name].read_from(what, self.file_digest)
        )

    @cached_property
    def file_digest(self) -> Callable[[str], str]:
        """The digest of a file; cached, because COCO's files are large."""
        return cache(file_digest)

    def description_file(self, what: str, dataset: str) -> str:
        """The file of a description, named by its digest like the outline."""
        return f"results/{dataset}/{what}-{digest(self.description(what, dataset))}.json"

    @cached_property
    def description_files(self) -> list[str]:
        """The description files of all tables that a run makes."""
        wanted = [(split, name) for name in self.datasets() for split in SPLITS]
        wanted += [("truth", name) for name in self.datasets(with_truth=True)]
        for artifact in self.artifacts.values():
            learned = [SOURCE_FILES.get(source) for source in artifact.block.read_sources]
            # Detectors are measured on val after epochs, and what is made from boxes if configured.
            asked = "boxes" in learned and "val" in self.config.evaluation.splits
            if asked or measured_on_boxes(artifact):
                learned.append("val-boxes")
            wanted += [(what, artifact.dataset) for what in learned if what]
            wanted += [(of, name) for name, of in candidate_splits(self.config, artifact)]
        return [self.description_file(*table) for table in dict.fromkeys(wanted)]

    def replaced(self) -> list[str]:
        """A line for each data set whose training images in results/ are another config's."""
        lines = []
        for name in self.datasets():
            wanted = Path(self.description_file("train", name))
            there = [*wanted.parent.glob("train-????????.json")]
            if there and wanted not in there:
                lines.append(
                    f"note: the images in results/{name} were listed for other settings of "
                    f"datasets.{name}; they are listed again, and if those settings come back, "
                    "what was made by them is made again: name data sets of several configs "
                    "differently, or give each config a folder of its own (--directory)"
                )
        return lines

    def described(self, what: str) -> Callable:
        """Input function: the description file of a table."""

        def file(wildcards) -> str:
            name = wildcards.dataset
            return _kept(f"{what} file", name, self.description_file(what, name))

        return file


def _kept(what: str, dataset: str, value: str) -> str:
    """The value; raises ConfigError if its source was edited after the run began."""
    edited = f"datasets.{dataset} of the config, its table, or the seed"
    return kept(f"{what} of {dataset}", value, edited)


def _setting(experiment: Experiment) -> dict:
    """The outline's entry for an experiment of a sweep."""
    if experiment.setting is None:
        return {}
    known = {key: value for key, value in experiment.setting._asdict().items() if value is not None}
    return {"sweep": known}


def _hints(experiment: Experiment) -> list[dict]:
    """The maps that networks of the experiment got hints from, with the score of a hint."""
    networks = {
        a.id: a.upstream["saliency_network"]
        for _, a in experiment.products
        if "saliency_network" in a.upstream and "maps" in a.upstream["saliency_network"].upstream
    }
    return [
        {
            "maps": one.upstream["maps"].id,
            "chain": one.block.hints.replace(" ", ""),
            "score": one.block.hint_score,
        }
        for one in networks.values()
    ]
