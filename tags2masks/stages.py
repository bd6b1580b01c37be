"""The stages of the workflow, in one table: whatever lists stages elsewhere is derived from it.

Data alone, light to import. A stage makes artifacts from config entries and from the artifacts of
earlier stages. Its methods are the modules of its package, their config blocks the `METHODS` of the
config module of the same name.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Course:
    """A figure of each epoch that the report draws below the loss."""

    column: str
    title: str


@dataclass(frozen=True)
class Stage:
    """One stage.

    name: its folder in results/<dataset>/, its name in recipes, and the role of its artifacts
        among what others are made from.
    title, plural: for people; `figure` is the short word of its figures in tables, if it has any.
    package: where its methods are; program: what makes an artifact, in workflow_scripts/.
    gives: `network` (model.safetensors, spec.json, training.csv), `shards` (<n>.zarr.zip), or
        `table` (a single file).
    file: the name of the single file.
    takes: what an entry of the stage follows in an experiment: `dataset`, or a stage's name. A
        config block may have a `takes` of its own. Of a part: the stages that it is made from.
    section: the config section of its entries. None: its artifacts are described by the field
        `part` of other stages' entries, so that other values beside it make them no second time.
    rule: the names of its rules. message: what they say while they run.
    about: the section, for the config reference.
    reads: tables of the data set that its program is given.
    split: of the images it works on; `evaluated` is the data set's `evaluate_on`.
    measured: the kind of its figures: `tags` (of val), `maps` (pixels, at every background score)
        or `labels` (pixels); None: none.
    curves: whether its artifacts, or some, are measured at every background score.
    course: what is drawn of its training.
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


_ALL = (
    Stage(
        "classifier", "Classifier", "classifiers", package="classifiers",
        section="classifiers", about="Learned from the tags.", takes=("dataset",),
        program="train", gives="network", message="Train the classifier", measured="tags",
        course=Course("val_map", "validation mAP"),
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
        "score", "Background score", "background scores", package="scores",
        part="background_score", takes=("maps", "classifier"),
        program="choose_score", gives="table", message="Choose the background score:",
        reads=("index",), file="score.json",
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

# Config section -> its stage, in the order of a chain.
SECTIONS: dict[str, Stage] = {stage.section: stage for stage in _ALL if stage.section}


def giving(*kinds: str) -> tuple[str, ...]:
    """The names of the stages that give this: `network`, `shards`, `table`."""
    return tuple(name for name, stage in STAGES.items() if stage.gives in kinds)


def measured(*kinds: str) -> tuple[str, ...]:
    """The names of the stages whose figures are of this kind: `tags`, `maps`, `labels`."""
    return tuple(name for name, stage in STAGES.items() if stage.measured in kinds)


def figured(*kinds: str) -> tuple[str, ...]:
    """The names of the stages whose figures have a word in tables, of these kinds or of any."""
    known = [name for name, stage in STAGES.items() if stage.figure]
    return tuple(name for name in known if not kinds or STAGES[name].measured in kinds)
