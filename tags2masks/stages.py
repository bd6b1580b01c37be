"""The table of the workflow's stages; all other lists of stages are derived from it.

Data only, light to import. A stage makes artifacts from config entries and from the artifacts of
earlier stages. Its methods are the modules of its package; their config blocks are the `METHODS` of
the config module of the same name.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Course:
    """A figure per epoch that the report plots below the loss."""

    column: str
    title: str


@dataclass(frozen=True)
class Stage:
    """One stage.

    name: its folder in results/<dataset>/, its name in recipes, and the role of its artifacts in
    the upstream of others.
    title, plural: names for people; `figure`: the short name of its figures in tables, if any.
    package: the package of its methods; program: the program in workflow_scripts/.
    gives: `network` (model.safetensors, spec.json, training.csv), `shards` (<n>.zarr.zip), or
        `table` (a single file).
    view: stage and method of an artifact that is made of the stage's where an entry follows that
        takes the view's stage, and not this one.
    file: name of the single file.
    takes: what an entry of the stage may follow in an experiment: `dataset`, or names of stages. A
        config block may override it. For a part: the stages that it is made from. A part of a
        classifier's entry takes the ordinary classifier of the entry.
    section: the config section of its entries. None: its artifacts are described by the field
        `part` of other stages' entries; other fields of those entries are not in their ids.
    rule: name of its rules, with {method}. message: what the rules print.
    about: description of the section in the config reference.
    reads: tables of the data set that its program gets.
    split: the split it works on; `evaluated` is the data set's `evaluate_on`.
    measured: how it is measured: `tags` (of val), `boxes` (of val), `maps` (pixels, at every
        background score), `objects` (pixels of any class, at every score), `instances` (average
        precision and overlap) or `labels` (pixels); None: not measured.
    curves: whether some of its artifacts are measured at every background score.
    loads_weights: whether the program of a stage without a training takes initial weights.
    course: the figure that the report plots for its training.
    replaces: the role of a part's artifact for what its entry makes after it. None: its own name.
    """

    name: str
    title: str
    plural: str
    package: str
    program: str
    gives: str
    takes: tuple[str, ...]
    message: str
    section: str | None = None
    part: str | None = None
    about: str = ""
    rule: str = "{method}"
    reads: tuple[str, ...] = ("index", "classes")
    split: str = "train"
    measured: str | None = None
    curves: bool = False
    figure: str | None = None
    file: str | None = None
    course: Course | None = None
    replaces: str | None = None
    view: tuple[str, str] | None = None
    loads_weights: bool = False

    @property
    def weighted(self) -> bool:
        """Whether its program takes the file of a backbone's initial weights."""
        return self.gives == "network" or self.loads_weights

    @property
    def seen_as(self) -> tuple[str, ...]:
        """The stages as whose artifacts later entries may take the stage's: itself, its view."""
        return (self.name, self.view[0]) if self.view else (self.name,)


_ALL = (
    Stage(
        "features", "Features", "features", package="features",
        part="features", takes=(),
        program="store_features", gives="shards", rule="{method}_features", message="Features:",
        reads=("index",), loads_weights=True,
    ),
    Stage(
        "ood", "Ranked candidates", "ranked candidates", package="ood",
        part="ood", takes=("classifier",),
        program="rank_candidates", gives="table", message="Rank the candidates:",
        file="ranked.csv",
    ),
    Stage(
        "texts", "Embedded texts", "embedded texts", package="texts",
        part="texts", takes=(),
        program="embed_texts", gives="table", rule="{method}_texts", message="Embed the texts:",
        reads=("classes",), file="texts.json",
    ),
    Stage(
        "classifier", "Classifier", "classifiers", package="classifiers",
        section="classifiers", about="Learned from the tags.", takes=("dataset",),
        program="train", gives="network", message="Train the classifier", measured="tags",
        course=Course("val_map", "validation mAP"),
    ),
    Stage(
        "detector", "Detector", "detectors", package="detectors",
        section="detectors", about="Object detectors, learned from boxes.", takes=("dataset",),
        program="train", gives="network", message="Train the detector", measured="boxes",
        course=Course("val_ap", "validation box AP"),
    ),
    Stage(
        "prototypes", "Prototypes", "prototypes", package="prototypes",
        part="prototypes", takes=("classifier",),
        program="find_prototypes", gives="table", message="Find prototypes:", reads=("index",),
        file="prototypes.zarr.zip",
    ),
    Stage(
        "maps", "Maps (seed)", "maps", package="maps",
        section="maps", about="Where in an image its classes are.", takes=("classifier",),
        program="localize", gives="shards", message="Localize:", reads=("index",),
        measured="maps", curves=True, figure="seed",
    ),
    Stage(
        "object_masks", "Object masks", "object masks", package="object_masks",
        part="masks", takes=("objectness",),
        program="mask_objects", gives="shards", rule="object_{method}", message="Object masks:",
        reads=("index",), measured="objects",
    ),
    Stage(
        "saliency_network", "Saliency network", "saliency networks", package="saliency_networks",
        part="network", takes=(),
        program="train", gives="network", rule="{method}_network",
        message="Train the saliency network", course=Course("salient", "share of salient pixels"),
    ),
    Stage(
        "objectness", "Objectness", "maps of objects", package="objectness",
        section="objectness", about="Where there is an object, of any class.", takes=("dataset",),
        program="find_objects", gives="shards", message="Find objects:", reads=("index",),
        measured="objects", curves=True, figure="object",
    ),
    Stage(
        "instances", "Instances", "instances", package="instances",
        section="instances", about="Objects one by one, each with a box and a mask.",
        takes=("dataset",),
        program="make_instances", gives="shards", message="Instances:", measured="instances",
        figure="instance", view=("masks", "semantic"),
    ),
    Stage(
        "labels", "Certain labels", "labels", package="masks",
        part="labels", takes=("maps",),
        program="make_masks", gives="shards", rule="{method}_labels", message="Labels:",
        measured="labels",
    ),
    Stage(
        "affinity", "Affinity network", "affinity networks", package="affinity",
        part="affinity", takes=("labels",),
        program="train", gives="network", rule="{method}_affinity",
        message="Train the affinity network", course=Course("pair_accuracy", "accuracy on pairs"),
    ),
    Stage(
        "walk", "Maps after a walk", "walks", package="walks",
        part="walk", takes=("maps", "affinity"), replaces="maps",
        program="walk_shard", gives="shards", rule="{method}_walk", message="Walk:",
        reads=("index",),
    ),
    Stage(
        "score", "Background score", "background scores", package="scores",
        part="background_score", takes=("maps", "classifier"),
        program="choose_score", gives="table", message="Choose the background score:",
        file="score.json",
    ),
    Stage(
        "segments", "Segments", "segments", package="segments",
        part="segments", takes=(),
        program="find_segments", gives="shards", rule="{method}_segments", message="Segments:",
        reads=("index",),
    ),
    Stage(
        "masks", "Masks", "masks", package="masks",
        section="masks", about="Pseudo-masks made from the maps.", takes=("maps",),
        program="make_masks", gives="shards", message="Masks:",
        measured="labels", curves=True, figure="mask",
    ),
    Stage(
        "segmenter", "Segmenter", "segmenters", package="segmenters",
        section="segmenters", about="Trained on the pseudo-masks.", takes=("masks",),
        program="train", gives="network", message="Train the segmenter",
        course=Course("pixel_agreement", "agreement with the masks"),
    ),
    Stage(
        "predictions", "Predictions", "predictions", package="segmenters",
        part="test", takes=("segmenter",),
        program="predict_shard", gives="shards", rule="predictions",
        message="Segment the evaluation split:", reads=("index",), split="evaluated",
        measured="labels", figure="prediction",
    ),
)  # fmt: skip

STAGES: dict[str, Stage] = {stage.name: stage for stage in _ALL}

# From config section to stage, in the order of a chain.
SECTIONS: dict[str, Stage] = {stage.section: stage for stage in _ALL if stage.section}


def unnumbered(role: str) -> str:
    """The stage of a role that may be one of several: `maps` of `maps` and of `maps_2`."""
    stage, _, number = role.rpartition("_")
    return stage if number.isdecimal() else role


def giving(*kinds: str) -> tuple[str, ...]:
    """The names of the stages that give one of these: `network`, `shards`, `table`."""
    return tuple(name for name, stage in STAGES.items() if stage.gives in kinds)


def measured(*kinds: str) -> tuple[str, ...]:
    """The names of the stages that are measured in one of these ways: `tags`, `boxes`, `maps`,
    `objects`, `instances`, `labels`.
    """
    return tuple(name for name, stage in STAGES.items() if stage.measured in kinds)


def figured(*kinds: str) -> tuple[str, ...]:
    """The names of the stages with figures in tables, measured in one of these ways or in any."""
    known = [name for name, stage in STAGES.items() if stage.figure]
    return tuple(name for name in known if not kinds or STAGES[name].measured in kinds)
