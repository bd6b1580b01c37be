"""What an experiment makes: artifacts, their ids and their places, known from the config alone."""

from dataclasses import dataclass, field

from tags2masks.config.base import Block, ConfigError
from tags2masks.config.experiments import STEPS
from tags2masks.config.maps import Cam
from tags2masks.config.project import SECTIONS, Config, choices
from tags2masks.config.sweep import Setting, add_derived_entries, expand_sweeps
from tags2masks.workflow.ids import artifact_id

# Config section -> the stage that makes artifacts from its entries.
STAGES = {
    "classifiers": "classifier",
    "maps": "maps",
    "masks": "masks",
    "segmenters": "segmenter",
}


# Fields of an entry that are artifacts of their own, so that other values beside them make these no
# second time; and the stage that each is made from. The later ones are made from the earlier ones.
PARTS = {"prototypes": "classifier", "labels": "maps", "affinity": "labels"}

# The stages whose artifacts lie in folders of results/<dataset>/<stage>/<id>.
STAGE_FOLDERS = (*STAGES.values(), *PARTS, "predictions")


@dataclass(frozen=True)
class Artifact:
    """Something a stage makes from a spec and other artifacts; `id` names it for good.

    recipe: everything that goes into the id, as plain JSON values.
    block: the config entry behind it, with what does not go into the id.
    upstream: what it is made from, by role (`classifier`, `prototypes`, …).
    """

    stage: str
    dataset: str
    recipe: dict = field(hash=False)
    block: Block = field(hash=False)
    upstream: dict[str, "Artifact"] = field(default_factory=dict, hash=False)

    @property
    def method(self) -> str:
        """Name of the method, which is also its module's name."""
        return self.recipe["method"]

    @property
    def id(self) -> str:
        """`<method>-<8 hex>`, the digits from everything that decides what comes out."""
        return artifact_id(self.recipe)

    @property
    def folder(self) -> str:
        """Where it lies, relative to the working directory."""
        return f"results/{self.dataset}/{self.stage}/{self.id}"


@dataclass(frozen=True)
class Experiment:
    """A chain of entries, and the artifact of each stage it goes through.

    setting: which value of a sweep it is for, if it is.
    """

    names: tuple[str, ...]
    artifacts: dict[str, Artifact]
    setting: Setting | None = None

    @property
    def name(self) -> str:
        """As people read it: dataset/classifier/maps/masks/segmenter."""
        return "/".join(self.names)

    @property
    def dataset(self) -> str:
        """The data set's entry name."""
        return self.names[0]


def build_artifact(
    config: Config,
    dataset: str,
    stage: str,
    block: Block,
    spec: dict,
    upstream: dict[str, Artifact],
) -> Artifact:
    """An artifact with its recipe: all that its id depends on."""
    recipe = {
        "stage": stage,
        "method": block.method,
        "spec": spec,
        "seed": config.seed,
        "dataset": config.datasets[dataset].key(),
        "upstream": {role: artifact.id for role, artifact in upstream.items()},
    }
    return Artifact(stage, dataset, recipe, block, upstream)


def build_experiments(config: Config) -> list[Experiment]:
    """Every experiment of the config with its artifacts; equal work gets equal ids."""
    config, experiments = add_derived_entries(config), []
    for names, setting in expand_sweeps(config).items():
        made: dict[str, Artifact] = {}
        dataset, upstream = names[0], {}
        _check_whole(config, names)
        _check_refined(config, names)
        _check_states(config, names)
        for section, name in zip(STEPS[1:], names[1:], strict=False):
            block, stage = getattr(config, section)[name], STAGES[section]
            if stage == "classifier":
                made[stage] = _classifier(config, dataset, name)
                upstream = {stage: made[stage]}
                continue
            spec = block.key()
            where = f"{section}.{name}"
            upstream |= _build_parts(config, dataset, where, block, spec, made)
            if stage == "segmenter":
                test = spec.pop("test") | {"split": config.datasets[dataset].evaluate_on}
                upstream |= _start(where, block, made)
                made[stage] = build_artifact(config, dataset, stage, block, spec, upstream)
                made["predictions"] = build_artifact(
                    config, dataset, "predictions", block, test, {"segmenter": made[stage]}
                )
            else:
                made[stage] = build_artifact(config, dataset, stage, block, spec, upstream)
            upstream = {stage: made[stage]}
        experiments.append(Experiment(names, made, setting))
    return experiments


def _classifier(config: Config, dataset: str, name: str, above: tuple[str, ...] = ()) -> Artifact:
    """The artifact of a classifier's entry, and upstream the ordinary classifier that it names.

    above: the entries that this one is the ordinary classifier of.
    """
    block, upstream = config.classifiers[name], {}
    spec = block.key()
    ordinary = spec.pop("ordinary", None)  # a name; the id that it leads to counts
    if ordinary is not None:
        where, known = f"classifiers.{name}.ordinary", config.classifiers
        if ordinary not in known:
            raise ConfigError(
                f"{where}: no entry '{ordinary}' in classifiers; {choices(ordinary, known)}"
            )
        if ordinary in (*above, name):
            raise ConfigError(
                f"{where}: {ordinary} is itself made with {name}; name a classifier that is not"
            )
        upstream["classifier"] = _classifier(config, dataset, ordinary, (*above, name))
    return build_artifact(config, dataset, "classifier", block, spec, upstream)


def _check_whole(config: Config, names: tuple[str, ...]) -> None:
    if len(names) > 3 and (images := config.maps[names[2]].images):
        raise ConfigError(
            f"maps.{names[2]}.images: {images} localizes a part of the training images, so "
            f"'{'/'.join(names)}' must end there; leave out what follows, or images"
        )


def _check_refined(config: Config, names: tuple[str, ...]) -> None:
    if len(names) > 2 and config.maps[names[2]].method == "pcm":
        classifier = config.classifiers[names[1]]
        if not classifier.refines:
            raise ConfigError(
                f"maps.{names[2]}: pcm needs a classifier with a pixel correlation module, and "
                f"classifiers.{names[1]} ({classifier.method}) has none; take one of method seam, "
                "or sampling with host: seam"
            )


def _check_states(config: Config, names: tuple[str, ...]) -> None:
    if config.evaluation.epoch_images and not config.classifiers[names[1]].keep_states:
        raise ConfigError(
            f"evaluation.epoch_images: classifiers.{names[1]} does not keep what it was after each "
            "epoch; set keep_states: true in it, or leave out epoch_images"
        )


def _build_parts(
    config: Config, dataset: str, where: str, block: Block, spec: dict, made: dict[str, Artifact]
) -> dict[str, Artifact]:
    """Add the artifacts inside an entry to `made`, and take them out of its spec.

    Returns those that the entry itself is made from: all but what others of them are made from.
    """
    needed: dict[str, Artifact] = {}
    for part, source in PARTS.items():
        if part in spec:
            inner, below = getattr(block, part), {source: made[source]}
            below |= _start(f"{where}.{part}", inner, made)
            made[part] = build_artifact(config, dataset, part, inner, spec.pop(part), below)
            needed.pop(source, None)
            needed[part] = made[part]
    return needed


def _start(where: str, block: Block, made: dict[str, Artifact]) -> dict[str, Artifact]:
    """The classifier, if a training starts from its backbone."""
    if not getattr(block, "init_from_classifier", False):
        if getattr(block, "frozen", False) and block.backbone.weights is None:
            raise ConfigError(
                f"{where}.backbone.weights: null, but this backbone is not trained; name a file, "
                "'pretrained', or set init_from_classifier: true"
            )
        return {}
    ours, theirs = block.backbone, made["classifier"].block.backbone
    if (ours.name, ours.args) != (theirs.name, theirs.args):
        raise ConfigError(
            f"{where}.init_from_classifier: the backbone {ours.name} is not the "
            f"classifier's {theirs.name}; use the same name and args in both"
        )
    return {"classifier": made["classifier"]}


def reference_cams(
    config: Config, experiments: list[Experiment]
) -> dict[tuple[str, str, str], Artifact]:
    """The plain CAM by whose regions maps and masks are measured, by their (dataset, stage, id).

    All maps and masks of a classifier have the same one: what the first experiment with the method
    `cam` on this classifier makes anyway, else one with the method's defaults. Data sets without
    truth have none.
    """
    plain: dict[tuple[str, str], Artifact] = {}
    for one in experiments:
        maps = one.artifacts.get("maps")
        if maps is not None and maps.method == "cam" and maps.block.images is None:
            plain.setdefault((one.dataset, one.artifacts["classifier"].id), maps)
    found = {}
    for one in experiments:
        measured = [one.artifacts[stage] for stage in ("maps", "masks") if stage in one.artifacts]
        if not measured or not config.datasets[one.dataset].has_truth:
            continue
        classifier, block = one.artifacts["classifier"], Cam()
        cam = plain.setdefault(
            (one.dataset, classifier.id),
            build_artifact(
                config, one.dataset, "maps", block, block.key(), {"classifier": classifier}
            ),
        )
        found |= {(a.dataset, a.stage, a.id): cam for a in measured}
    return found


def all_artifacts(experiments: list[Experiment]) -> dict[tuple[str, str, str], Artifact]:
    """Every artifact of the experiments and what it is made from, by (dataset, stage, id)."""
    found = {(a.dataset, a.stage, a.id): a for e in experiments for a in e.artifacts.values()}
    waiting = list(found.values())
    for artifact in waiting:
        for one in artifact.upstream.values():
            if (one.dataset, one.stage, one.id) not in found:
                found[one.dataset, one.stage, one.id] = one
                waiting.append(one)
    return found


assert list(STAGES) == list(SECTIONS)
