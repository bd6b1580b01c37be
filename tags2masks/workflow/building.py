"""The experiments of a config with their artifacts: entry by entry, each after its own parts."""

from tags2masks.config.base import Block, ConfigError, Entry
from tags2masks.config.chains import named_chains
from tags2masks.config.experiments import Chain, EntryName, parse_named_chain, takes_of
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config
from tags2masks.config.sweep import add_derived_entries, expand_sweeps
from tags2masks.config.training import Training
from tags2masks.methods import methods_of
from tags2masks.stages import SECTIONS, STAGES, Stage, unnumbered
from tags2masks.workflow.artifacts import Artifact, Experiment, build_artifact
from tags2masks.workflow.ood import check_candidates


def build_experiments(config: Config) -> list[Experiment]:
    """Every experiment of the config with its artifacts; equal recipes give equal ids.

    Raises ConfigError for entries that do not fit each other.
    """
    config = add_derived_entries(config)
    seeds = config.seeds or (config.seed,)
    experiments = []
    for chain, setting in expand_sweeps(config).items():
        for seed in seeds:
            builder = _Builder(config, chain, seed)
            products, repeated = tuple(builder.build()), len(seeds) > 1
            experiments.append(
                Experiment(chain, products, seed, setting, repeated, tuple(builder.scores))
            )
    return experiments


class _Builder:
    """Builds the artifacts of one chain; `latest` has the last artifact of each stage so far.

    above: the entries that name this chain, directly or indirectly; none of them may be in it.
    """

    def __init__(self, config: Config, chain: Chain, seed: int, above: Chain = ()):
        self.config, self.chain, self.seed, self.above = config, chain, seed, above
        self.dataset, self.path = chain[0].name, "/".join(entry.name for entry in chain)
        self.latest: dict[str, Artifact] = {}
        self.products: list[tuple[int, Artifact]] = []
        self.scores: list[Artifact] = []  # of the chains that entries name

    def build(self) -> list[tuple[int, Artifact]]:
        """All artifacts, in the order of making."""
        if not self.config.datasets[self.dataset].tagged:
            kind = self.config.datasets[self.dataset].kind
            raise ConfigError(
                f"datasets.{self.dataset}: of kind {kind}, which has no tags to learn from; name "
                "it as ood.candidates of a classifier of method wood, and begin experiments with "
                "another"
            )
        before: Artifact | None = None
        for depth, (section, name) in enumerate(self.chain[1:], start=1):
            block = getattr(self.config, section)[name]
            self._check(block, depth, before)
            if before is not None:
                before = self._as_taken(before, takes_of(section, block), depth - 1)
            upstream = {} if before is None else {before.stage: before}
            before = self._make(f"{section}.{name}", SECTIONS[section], block, upstream, depth)
        return self.products

    def _as_taken(self, before: Artifact, takes: tuple[str, ...], depth: int) -> Artifact:
        """What an entry reads that follows an artifact: the artifact, or the view of it."""
        view = STAGES[before.stage].view
        if before.stage in takes or view is None:
            return before
        stage, method = view
        block = methods_of(STAGES[stage])[method]()
        where = ".".join(self.chain[depth])
        return self._make(where, STAGES[stage], block, {before.stage: before}, depth)

    def _make(
        self, where: str, stage: Stage, block: Entry, upstream: dict[str, Artifact], depth: int
    ) -> Artifact:
        """The artifact of an entry or of a part of one, after those of its own parts."""
        spec, upstream = block.key(), dict(upstream)
        # A field such as the background score is a number in one entry and a part in another.
        parts = [part for part in STAGES.values() if isinstance(spec.get(part.part), dict)]
        specs = {part.name: spec.pop(part.part) for part in parts}
        if "ordinary" in spec:
            name = spec.pop("ordinary")  # the recipe has the id, not the name
            upstream["classifier"] = self._ordinary(where, name, (self.chain[depth].name,))
            if "ood" in block.learns_from:
                _check_backbones(f"{where}.ordinary", block, upstream["classifier"])
        named = self._named(where, block, self.chain[depth])
        if twice := {unnumbered(role) for role in named} & upstream.keys():
            raise TypeError(
                f"{block.method} both follows {twice} and names a chain that ends there"
            )
        if stage.gives == "network" and stage.name != "classifier" and "classifier" in named:
            _check_backbones(f"{where}.start", block, named["classifier"])
        upstream |= named
        if stage.name in ("maps", "masks"):
            self._check_whole(where, block, upstream)
        latest, needed = dict(self.latest), {}
        if ordinary := upstream.get(stage.name):
            latest[stage.name] = ordinary  # a classifier's parts are made with the ordinary one
        # A part that takes the entry's stage is made of the entry, or of what that follows.
        own = () if ordinary or stage.name in block.for_parts else (stage.name,)
        for part in (part for part in parts if not set(own) & set(part.takes)):
            inner = getattr(block, part.part)
            sources = inner.takes or part.takes
            for source in sources:
                if source not in latest:
                    raise ConfigError(
                        f"{where}.{part.part}: {inner.method} needs a {source}, and '{self.path}' "
                        "has none before it"
                    )
            below = {source: latest[source] for source in sources}
            self._check_supervision(f"{where}.{part.part}", inner)
            made = self._make(f"{where}.{part.part}", part, inner, below, depth)
            for source in sources:
                needed.pop(source, None)  # upstream of a part, not of the entry
            latest[part.name] = made
            if part.replaces:
                latest[part.replaces] = upstream[part.replaces] = made
            else:
                needed[part.name] = made
        upstream = upstream | needed | self._start(where, block)
        if stage.name == "maps" and "masks" in block.helpers:
            upstream["masks"] = upstream["classifier"].upstream["masks"]
        upstream = {role: of for role, of in upstream.items() if role not in block.for_parts}
        artifact = self._artifact(stage, block, block.method, spec, upstream, depth)
        for part in (part for part in parts if set(own) & set(part.takes)):
            values, inner = specs[part.name], getattr(block, part.part)
            if part.split == "evaluated":
                values |= {"split": self.config.datasets[self.dataset].evaluate_on}
            self._artifact(part, inner, block.method, values, {stage.name: artifact}, depth)
        if stage.measured == "maps":
            self._score(artifact, depth)
        return artifact

    def _score(self, maps: Artifact, depth: int) -> None:
        """The background score at which maps are measured, if it is chosen for them."""
        block = self.config.evaluation.background_score
        measured = self.config.datasets[self.dataset].has_truth
        if not measured or not isinstance(block, Entry):
            return
        sources = block.takes or STAGES["score"].takes
        if self.latest.keys() >= set(sources):
            self._check_supervision("evaluation.background_score", block)
            below = {source: self.latest[source] for source in sources}
            self._artifact(STAGES["score"], block, block.method, block.key(), below, depth)

    def _artifact(
        self,
        stage: Stage,
        block: Entry,
        method: str,
        spec: dict,
        upstream: dict[str, Artifact],
        depth: int,
    ) -> Artifact:
        artifact = build_artifact(
            self.config, self.seed, self.dataset, stage.name, block, method, spec, upstream
        )
        self.latest[stage.name] = artifact
        self.products.append((depth, artifact))
        return artifact

    def _named(self, where: str, block: Entry, entry: EntryName) -> dict[str, Artifact]:
        """What the chains that a block names end in, by role.

        The role is the stage, numbered from 1 in a list: `segmenter`, or `maps_1`, `maps_2`, …
        """
        found = {}
        for name, ends_in in named_chains(type(block)).items():
            paths = getattr(block, name)
            if paths is None:
                continue
            if isinstance(paths, str):
                found[ends_in] = self._end_of(f"{where}.{name}", paths, ends_in, entry)
                continue
            for number, path in enumerate(paths):
                key = f"{where}.{name}.{number}"
                found[f"{ends_in}_{number + 1}"] = self._end_of(key, path, ends_in, entry)
        return found

    def _end_of(self, where: str, path: str, ends_in: str, entry: EntryName) -> Artifact:
        """The artifact that a named chain ends in, on the same data set and with the same seed."""
        above = (*self.above, entry)
        try:
            chain = parse_named_chain(self.config, self.dataset, path, ends_in)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        for other in above:
            if other in chain:
                raise ConfigError(
                    f"{where}: '{path}' goes through {'.'.join(other)}, which is itself made with "
                    "this chain; name one that is not"
                )
        named = _Builder(self.config, chain, self.seed, above)
        products = [artifact for _, artifact in named.build()]
        self.scores += [*named.scores, *(made for made in products if made.stage == "score")]
        if ends_in == "segmenter" and "instances" in named.latest["predictions"].block.offers:
            raise ConfigError(
                f"{where}: '{path}' ends in {named.latest[ends_in].method}, which gives instances "
                "and no probabilities of each pixel; name a chain with another segmenter"
            )
        return named.latest[ends_in]

    def _ordinary(self, where: str, name: str, above: tuple[str, ...]) -> Artifact:
        """The ordinary classifier of this name.

        above: the entries that use it as ordinary classifier, directly or indirectly.
        """
        known = self.config.classifiers
        if name not in known:
            raise ConfigError(
                f"{where}.ordinary: no entry '{name}' in classifiers; {choices(name, known)}"
            )
        if name in above:
            raise ConfigError(
                f"{where}.ordinary: {name} is itself made with {above[-1]}; name a classifier that "
                "is not"
            )
        block, upstream = known[name], {}
        spec = block.key()
        if "ood" in block.learns_from:
            raise ConfigError(
                f"{where}.ordinary: {name} is of method {block.method}, whose candidates are not "
                "ranked for an ordinary classifier; name one that learns from tags alone"
            )
        if not isinstance(block, Training):
            raise ConfigError(
                f"{where}.ordinary: {name} is of method {block.method}, which is not trained on "
                "the tags; name one that is"
            )
        if block.takes and "dataset" not in block.takes:
            raise ConfigError(
                f"{where}.ordinary: {name} is of method {block.method}, which learns from the "
                "masks that it follows; name one that learns from tags alone"
            )
        if "ordinary" in spec:
            below = spec.pop("ordinary")
            upstream["classifier"] = self._ordinary(f"classifiers.{name}", below, (*above, name))
        if stored := spec.pop("features", None):  # of a backbone that is not trained
            inner = block.features
            upstream["features"] = build_artifact(
                self.config, self.seed, self.dataset, "features", inner, inner.method, stored, {}
            )
        return build_artifact(
            self.config, self.seed, self.dataset, "classifier", block, block.method, spec, upstream
        )

    def _check(self, block: Entry, at: int, before: Artifact | None) -> None:
        """Raise ConfigError if the entry cannot follow `before` at this place of the chain."""
        where, previous = ".".join(self.chain[at]), ".".join(self.chain[at - 1])
        for need in block.needs:
            if before is not None and need not in before.block.offers:
                methods = " or ".join(_offering(before.stage, need))
                raise ConfigError(
                    f"{where}: {block.method} needs {_one_of(before.stage)} with "
                    f"{need.replace('_', ' ')}, and {previous} ({before.method}) has none; "
                    + (f"take one of method {methods}" if methods else f"set {need}: true in it")
                )
        self._check_supervision(where, block)
        check_candidates(self.config, self.dataset, where, block)
        all_labelled = self.config.datasets[self.dataset].labelled == "all"
        if "masks" in block.learns_from and before is not None and all_labelled:
            raise ConfigError(
                f"{where}: {block.method} also learns from images without a true mask, and "
                f"datasets.{self.dataset}.labelled names all; label fewer, or let another "
                "segmenter follow the masks of method full"
            )
        images, after = getattr(block, "images", None), self.chain[at + 1 :]
        if images and after and [each.section for each in after] != ["instances"]:
            raise ConfigError(
                f"{where}.images: {images} localizes a part of the training images, so "
                f"'{self.path}' must end there, or at instances of these maps; leave out what "
                "follows, or images"
            )
        if SECTIONS[self.chain[at].section].name == "classifier" and not block.keep_states:
            asked = ["epoch_images"] + ["epoch_features"] * ("ood" in block.learns_from)
            for name in asked:
                if getattr(self.config.evaluation, name):
                    raise ConfigError(
                        f"evaluation.{name}: {where} does not keep what it was after each epoch; "
                        f"set keep_states: true in it, or leave out {name}"
                    )

    def _check_whole(self, where: str, block: Entry, upstream: dict[str, Artifact]) -> None:
        """Raise ConfigError if maps or masks are made of those of a part of the images."""
        labelled = self.config.datasets[self.dataset].labelled
        for artifact in upstream.values():
            images = getattr(artifact.block, "images", None)
            if artifact.stage == "maps" and images and images != getattr(block, "images", None):
                raise ConfigError(
                    f"{where}: {block.method} reads maps that are made of {images} images alone; "
                    "leave out their images, or give it the same number"
                )
            if artifact.stage == "masks" and artifact.method == "full" and labelled != "all":
                raise ConfigError(
                    f"{where}: {block.method} reads masks of all images, and full has those of "
                    f"datasets.{self.dataset}.labelled alone; set labelled: all, or leave out full"
                )

    def _check_supervision(self, where: str, block: Entry) -> None:
        """Raise ConfigError if the block learns from what the data set does not have."""
        data = self.config.datasets[self.dataset]
        if "masks" in block.learns_from and (data.labelled is None or not data.offers_masks):
            raise ConfigError(
                f"{where}: {block.method} learns from masks, and datasets.{self.dataset} "
                + (
                    "names none; set labelled in it: a number, a share, a list of images, or all"
                    if data.offers_masks
                    else "has none"
                )
            )
        if "masks" in block.learns_from and "instances" in block.offers and not data.has_instances:
            raise ConfigError(
                f"{where}: {block.method} learns from true instances, and data sets of kind "
                f"{data.kind} have none; take a data set of another kind, or other instances"
            )
        if "boxes" in block.read_sources and not data.offers_boxes:
            raise ConfigError(
                f"{where}: {block.method} learns from boxes, and datasets.{self.dataset} has none; "
                + (
                    "name a table of them there, as boxes"
                    if "boxes" in type(data).model_fields
                    else "take a data set of another kind"
                )
            )

    def _start(self, where: str, block: Block) -> dict[str, Artifact]:
        """The classifier as upstream artifact, if the training starts from its backbone."""
        if not getattr(block, "init_from_classifier", False):
            if getattr(block, "frozen", False) and block.backbone.weights is None:
                others = ", or set init_from_classifier: true"
                raise ConfigError(
                    f"{where}.backbone.weights: null, but this backbone is not trained; name a "
                    "file, or 'pretrained'"
                    + (others if hasattr(block, "init_from_classifier") else "")
                )
            return {}
        classifier = self.latest.get("classifier")
        if classifier is None:
            raise ConfigError(
                f"{where}.init_from_classifier: '{self.path}' has no classifier; set it to false "
                "in an entry of its own"
            )
        _check_backbones(f"{where}.init_from_classifier", block, classifier)
        return {"classifier": classifier}


def _check_backbones(where: str, block: Entry, classifier: Artifact) -> None:
    """Raise ConfigError unless a network can start from a classifier's backbone."""
    ours, theirs = block.backbone, classifier.block.backbone
    if (ours.name, ours.args) != (theirs.name, theirs.args):
        raise ConfigError(
            f"{where}: the backbone {ours.name} is not the classifier's {theirs.name}; use the "
            "same name and args in both"
        )
    if "class_tokens" in classifier.block.offers:
        raise ConfigError(
            f"{where}: the classifier's {theirs.name} has a class token for each class "
            f"({classifier.method}), and this network one; start from another classifier, or set "
            "backbone.weights"
        )


def _one_of(stage: str) -> str:
    """An artifact of a stage in words: `a classifier`, but `maps`."""
    known = STAGES[stage]
    return known.plural if known.gives == "shards" else f"a {known.title.lower()}"


def _offering(stage: str, need: str) -> list[str]:
    """The methods of a stage that offer this, with default options."""
    blocks = methods_of(STAGES[stage]).items()
    return [name for name, block in blocks if need in block.model_construct().offers]
