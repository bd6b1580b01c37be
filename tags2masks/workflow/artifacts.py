"""Artifacts and experiments: ids and paths, known from the config alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tags2masks.config.base import Entry
from tags2masks.config.experiments import Chain
from tags2masks.config.maps import Cam
from tags2masks.config.project import Config
from tags2masks.config.sweep import Setting
from tags2masks.stages import measured
from tags2masks.supervision import SOURCES
from tags2masks.workflow.ids import artifact_id


@dataclass(frozen=True)
class Artifact:
    """The output of a stage, made from a spec and upstream artifacts.

    recipe: everything that is part of the id, as plain JSON values.
    block: its config block, including fields that are not part of the id.
    upstream: the artifacts it is made from, by role (`classifier`, `prototypes`, …).

    What follows from these is worked out once: a config of 40 chains asks 200,000 times for an id.
    """

    stage: str
    dataset: str
    recipe: dict = field(hash=False)
    block: Entry = field(hash=False)
    upstream: dict[str, "Artifact"] = field(default_factory=dict, hash=False)

    @property
    def method(self) -> str:
        """Name of the method, which is also its module's name."""
        return self.recipe["method"]

    @cached_property
    def id(self) -> str:
        """`<method>-<8 hex>`: a digest of the recipe."""
        return artifact_id(self.recipe)

    @property
    def folder(self) -> str:
        """Its folder, relative to the working directory."""
        return f"results/{self.dataset}/{self.stage}/{self.id}"

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """Data set, stage and id, which identify it."""
        return self.dataset, self.stage, self.id

    @cached_property
    def supervision(self) -> tuple[str, ...]:
        """The supervision of this and all upstream artifacts, in the order of `SOURCES`."""
        reached = {
            source for artifact in with_upstream([self]) for source in artifact.block.learns_from
        }
        return tuple(source for source in SOURCES if source in reached)


@dataclass(frozen=True)
class Experiment:
    """A chain of entries with its artifacts, for one seed.

    products: each artifact with the number of the chain's entries (without the data set) that lead
    to it. setting: the value of a sweep that it has, if any. repeated: whether the config has the
    same chain with other seeds. named: the background scores at which the maps of chains that its
    entries name are measured; what these chains end in is upstream of the products.
    """

    chain: Chain
    products: tuple[tuple[int, Artifact], ...]
    seed: int
    setting: Setting | None = None
    repeated: bool = False
    named: tuple[Artifact, ...] = ()

    @property
    def path(self) -> str:
        """Its entries: dataset/classifier/maps/masks/segmenter."""
        return "/".join(entry.name for entry in self.chain)

    @property
    def name(self) -> str:
        """The path, with the seed if there are several: `digits/vanilla/cam@1`."""
        return f"{self.path}@{self.seed}" if self.repeated else self.path

    @property
    def dataset(self) -> str:
        """The data set's entry name."""
        return self.chain[0].name

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The last artifact of each stage."""
        return {artifact.stage: artifact for _, artifact in self.products}

    @property
    def supervision(self) -> tuple[str, ...]:
        """The supervision of all that it makes, its last artifact and the scores of its maps."""
        read = {source for _, artifact in self.products for source in artifact.supervision}
        return tuple(source for source in SOURCES if source in read)

    @property
    def objects(self) -> list[Artifact]:
        """The maps and masks of objects of any class that it makes, or that what it makes is made
        with, each once and in order.
        """
        made = [artifact for _, artifact in self.products]
        with_sources = [one for artifact in made for one in (*artifact.upstream.values(), artifact)]
        found = [artifact for artifact in with_sources if artifact.stage in measured("objects")]
        return list({artifact.key: artifact for artifact in found}.values())


def build_artifact(
    config: Config,
    seed: int,
    dataset: str,
    stage: str,
    block: Entry,
    method: str,
    spec: dict,
    upstream: dict[str, Artifact],
) -> Artifact:
    """Make an artifact with its recipe, from all that its id depends on.

    Raises UserError for a table of the user that the block reads and that has mistakes.
    """
    spec_of_data = config.datasets[dataset]
    data = spec_of_data.key()
    if "masks" in block.learns_from:
        data |= spec_of_data.labelled_key()
    if "boxes" in block.learns_from:
        data |= spec_of_data.boxes_key()
    recipe = {
        "stage": stage,
        "method": method,
        "spec": spec,
        "seed": seed,
        "dataset": data,
        "upstream": {role: artifact.id for role, artifact in upstream.items()},
    }
    if pool := getattr(block, "candidates", None):
        recipe["candidates"] = config.datasets[pool].key()
    if tables := block.tables_read():
        recipe["tables"] = tables
    return Artifact(stage, dataset, recipe, block, upstream)


def with_upstream(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """The artifacts and all their upstream artifacts, each once."""
    known = {artifact.key: artifact for artifact in artifacts}
    waiting = list(known.values())
    for artifact in waiting:
        for source in artifact.upstream.values():
            if source.key not in known:
                known[source.key] = source
                waiting.append(source)
    return waiting


def all_artifacts(experiments: list[Experiment]) -> dict[tuple[str, str, str], Artifact]:
    """All artifacts of the experiments, including upstream ones, by (dataset, stage, id)."""
    artifacts = with_upstream(
        a for e in experiments for a in (*(made for _, made in e.products), *e.named)
    )
    return {artifact.key: artifact for artifact in artifacts}


def twins(experiments: Iterable[Experiment]) -> Iterator[tuple[Artifact, Artifact]]:
    """Pairs of artifacts with one id whose blocks differ: in fields that are not part of it."""
    waiting = [a for e in experiments for a in (*(made for _, made in e.products), *e.named)]
    first: dict[tuple[str, str, str], Artifact] = {}
    seen: set[int] = set()
    while waiting:
        artifact = waiting.pop()
        if id(artifact) in seen:
            continue
        seen.add(id(artifact))
        waiting += artifact.upstream.values()
        other = first.setdefault(artifact.key, artifact)
        if other.block is not artifact.block and other.block != artifact.block:
            yield other, artifact


def measured_on_boxes(artifact: Artifact) -> bool:
    """Whether val's boxes measure a network after epochs: its method asks, and it saw boxes."""
    return getattr(artifact.block, "boxes_of_val", False) and "boxes" in artifact.supervision


def classifier_behind(artifact: Artifact) -> Artifact | None:
    """The classifier behind an artifact of maps or masks, if there is one.

    Behind a classifier that learned from masks it is the one behind these.
    """
    while artifact.stage != "classifier" or "masks" in artifact.upstream:
        above = artifact.upstream
        before = above.get("classifier") if artifact.stage == "maps" else None
        before = before or above.get("maps", above.get("masks"))
        if before is None:
            return None
        artifact = before
    return artifact


def reference_cams(
    config: Config, experiments: list[Experiment]
) -> dict[tuple[str, str, str], Artifact]:
    """The plain CAM that defines regions for maps and masks, by their (dataset, stage, id).

    All maps and masks of a classifier have the same one: that of the first experiment with the
    method `cam` on this classifier, else one with the method's defaults. Those of a classifier that
    learned from masks have that of these masks. There is none for data sets without truth and for
    masks without a classifier.
    """
    plain: dict[tuple[str, str, str], Artifact] = {}
    measured = [
        artifact
        for experiment in experiments
        for _, artifact in experiment.products
        if artifact.stage in ("maps", "masks") and config.datasets[experiment.dataset].has_truth
    ]
    for maps in measured:
        if maps.method == "cam" and maps.block.images is None and not maps.block.needs:
            classifier = maps.upstream["classifier"]
            if classifier is classifier_behind(maps):
                plain.setdefault(classifier.key, maps)
    cams = {}
    for artifact in measured:
        classifier, block = classifier_behind(artifact), Cam()
        if classifier is None:
            continue
        if classifier.key not in plain:
            seed, upstream = classifier.recipe["seed"], {"classifier": classifier}
            plain[classifier.key] = build_artifact(
                config, seed, classifier.dataset, "maps", block, block.method, block.key(), upstream
            )
        cams[artifact.key] = plain[classifier.key]
    return cams
