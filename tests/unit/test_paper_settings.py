"""The papers' configs have the papers' settings."""

from pathlib import Path

import pytest

from tags2masks.classifiers import vanilla
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.training import make_optimizer
from tags2masks.workflow.building import build_experiments

PAPERS = Path(__file__).resolve().parents[2] / "papers"


def config(paper):
    return parse_config(read_config(PAPERS / f"{paper}.yaml"))


@pytest.mark.parametrize("paper", ["label_efficient", "lpcam", "wood"])
def test_classifiers_of_irns_family_learn_at_its_rates(paper):
    spec = config(paper).classifiers["vanilla"]
    tiny = spec.backbone.model_copy(update={"name": "test_resnet", "weights": None})
    spec = spec.model_copy(update={"backbone": tiny})
    groups = make_optimizer(vanilla.build(spec, 20), spec.optimizer).param_groups
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    assert {group["momentum"] for group in groups} == {1e-4}
    assert {group["weight_decay"] for group in groups} == {1e-4}
    assert (spec.epochs, spec.batch_size, spec.augment.crop) == (5, 16, 512)


@pytest.mark.parametrize(
    ("paper", "entry", "expected"),
    [
        ("label_efficient", "irn", (0.3, 0.05, 0.25, 1)),
        ("label_efficient", "irn_advcam", (0.35, 0.15, 0.25, 1.5)),
        ("label_efficient", "irn_rib", (0.35, 0.17, 0.27, 1.3)),
        ("lpcam", "irn_lpcam", (0.45, 0.25, 0.35, 1)),
    ],
)
def test_irn_has_the_scores_of_each_seed(paper, entry, expected):
    spec = config(paper).masks[entry]
    labels = spec.labels
    found = (labels.foreground_score, labels.background_score, spec.background_score)
    assert (*found, spec.map_power) == expected


def test_pnoc_has_the_papers_walk_and_its_codes():
    masks = config("pnoc").masks
    assert masks["psa"].method == "psa" and masks["edges"].method == "irn"
    assert not masks["edges"].affinity.displacement
    code = masks["edges"]
    assert (code.labels.foreground_score, code.labels.background_score) == (0.4, 0.1)
    assert (code.affinity.radius, code.radius, code.beta, code.steps) == (10, 5, 10, 256)


def test_pnoc_on_coco_learns_at_half_the_rates_and_else_as_on_voc():
    voc, coco = config("pnoc"), config("pnoc-coco")
    for name in ("vanilla", "pnoc"):
        ours, theirs = coco.classifiers[name], voc.classifiers[name]
        assert (ours.optimizer.lr, ours.optimizer.head_factor) == (0.005, 10)  # 0.05 for the head
        assert theirs.optimizer.lr == 0.01
        # Table 5 has ResNeSt-269.
        same = {"optimizer": theirs.optimizer, "backbone": theirs.backbone}
        assert ours.backbone.name == "resnest269e"
        assert ours.model_copy(update=same) == theirs
    assert coco.objectness["c2am_h"] == voc.objectness["c2am_h"]
    assert coco.objectness["refined"] == voc.objectness["refined"]
    psa = coco.masks["psa"]
    # The paper's scores: 0.4 of classes, 0.1 of the background, 0.3 after the walk.
    for score, power in (
        (0.4, psa.labels.low_power),
        (0.1, psa.labels.high_power),
        (0.3, psa.background_power),
    ):
        assert (1 - score) ** power == pytest.approx(score, rel=0.01)
    assert psa.beta == voc.masks["psa"].beta and psa.crf == voc.masks["psa"].crf
    assert coco.masks["psa-guided"].labels == voc.masks["psa-pnoc"].labels
    assert coco.masks["edges-guided"].labels == voc.masks["edges-guided"].labels


def test_wood_and_advcam_and_rib_are_on_one_map():
    found = config("wood")
    assert found.maps["rib_advcam"].model_copy(update={"climb": None}) == found.maps["rib"]
    # The climb is AdvCAM's of the same table.
    climb, own = found.maps["rib_advcam"].climb, found.maps["advcam"]
    assert all(getattr(own, name) == value for name, value in climb)


def test_wood_has_the_papers_numbers_and_its_codes():
    classifiers = config("wood").classifiers
    wood = classifiers["wood"]
    assert (wood.distance_weight, wood.closest, wood.clusters, wood.epochs) == (0.007, 0.2, 50, 5)
    assert (wood.ood_weight, wood.climb, wood.selection) == (1, 0, "image")
    assert (wood.optimizer, wood.augment) == (
        classifiers["vanilla"].optimizer,
        classifiers["vanilla"].augment,
    )
    code = classifiers["wood-code"]
    assert (code.ood_weight, code.climb, code.selection) == (0.25, 0.07, "batch")
    on_seam, seam = classifiers["wood-seam"], classifiers["seam"]
    for field in ("backbone", "optimizer", "augment", "epochs", "batch_size", "dropout", "scale"):
        assert getattr(on_seam, field) == getattr(seam, field), field


def test_bbam_has_the_thesiss_numbers_and_its_codes():
    voc, coco = config("bbam"), config("bbam-coco")
    bbam = voc.maps["bbam"]
    # λ, Adam, the jitter of proposals; the stride is 16 + 48 · √a.
    assert (bbam.sparsity, bbam.lr, bbam.steps, bbam.jitter) == (0.007, 0.02, 300, 0.3)
    assert bbam.cell is None and bbam.heads == "both"
    assert coco.maps["bbam"].model_copy(update={"difficult": "keep"}) == bbam
    text, code = (voc.instances[name] for name in ("text", "boxmask"))
    assert (text.thresholds, text.foreground, text.background) == ("value", 0.8, 0.2)
    assert (code.thresholds, code.foreground, code.background) == ("share", 0.85, 0.2)
    for found in (voc, coco):
        assert found.instances["boxmask"] == code
        mcg = found.instances["mcg"]
        assert mcg.proposals and mcg.model_copy(update={"proposals": None}) == code
    # Table 5.5: pairs of θ_bg and θ_fg.
    pairs = {
        name: (each.background, each.foreground)
        for name, each in voc.instances.items()
        if name.startswith("theta")
    }
    assert sorted(pairs.values()) == [(0.2, 0.2), (0.2, 0.8), (0.3, 0.7), (0.5, 0.5), (0.8, 0.8)]
    for name, (background, foreground) in pairs.items():
        changed = {"background": background, "foreground": foreground}
        assert voc.instances[name] == code.model_copy(update=changed)
        said = name.removeprefix("theta-").split("-")
        assert {f"{100 * value:.0f}" for value in (background, foreground)} == set(said)
    swept = {sweep.field: sweep.values for sweep in voc.sweep}
    assert swept["sparsity"] == (0.001, 0.003, 0.005, 0.007, 0.01, 0.02)  # table 5.6
    assert swept["heads"] == ("box", "class", "both") and swept["cell"] == (
        24,
        48,
    )  # figures 5.4, 5.7 b
    # 662 steps of 16 images an epoch on VOC, 14,658 of 8 on COCO.
    steps = (
        voc.detectors["fasterrcnn"].epochs * -(-10582 // 16),
        coco.detectors["fasterrcnn"].epochs * (117266 // 8),
    )
    assert steps == pytest.approx((18000, 180000), rel=0.03)


DIGITS = sorted(path.stem for path in PAPERS.glob("*-digits.yaml"))


@pytest.mark.parametrize("paper", DIGITS)
def test_digits_need_no_weights_of_a_hub(paper):
    for experiment in build_experiments(config(paper)):
        for _, artifact in experiment.products:
            parts = [artifact.block, *dict(artifact.block).values()]
            for part in parts:
                backbone = getattr(part, "backbone", None)
                given = getattr(part, "init_from_classifier", False) or getattr(part, "start", None)
                assert not backbone or given or backbone.weights is None, artifact.key
