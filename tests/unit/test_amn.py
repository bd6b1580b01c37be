"""AMN: its loss by hand, the gate, maps against loops, what it learns from, and chains with it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers.amn import balanced_cross_entropy, build, step, views
from tags2masks.config.base import ConfigError
from tags2masks.config.hosts import Amn
from tags2masks.config.maps import AmnMaps, Cam
from tags2masks.config.project import parse_config
from tags2masks.data.index import images_sha, rows_of
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.maps import amn, cam
from tags2masks.maps.batch import Batch
from tags2masks.maps.label_gate import stretched
from tags2masks.mask_ids import IGNORED
from tags2masks.nets.resize import at_cells
from tags2masks.store import write_shard
from tags2masks.task import Task
from tags2masks.training import Moment
from tags2masks.workflow.artifacts import all_artifacts, reference_cams
from tags2masks.workflow.building import build_experiments
from tests.unit.learning import TINY
from tests.unit.tiny import CLASSES, MADE, SIZES, small, three_images

LN21 = math.log(21)


def loss_of(logits, labels, smoothing=0.4):
    return balanced_cross_entropy(logits, torch.tensor(labels), smoothing).item()


@pytest.mark.parametrize("smoothing", [0, 0.4, 0.9])
def test_equal_logits_cost_ln_21_whatever_is_smoothed(smoothing):
    # One cell of background, three of classes, whose means count half each: 3.045.
    assert loss_of(torch.zeros(1, 21, 2, 2), [[[0, 7], [7, 20]]], smoothing) == pytest.approx(LN21)


def test_the_balanced_loss_by_hand():
    # Two labels beside the background; shares 1/2, 1/4, 1/4 in every cell.
    logits = torch.tensor([0.5, 0.25, 0.25]).log().view(1, 3, 1, 1).expand(1, 3, 1, 4)
    low, high = math.log(2), math.log(4)
    # ε 0.4: targets 0.6 and 0.2, 0.2. Background: .6 ln 2 + .4 ln 4; class: .2 ln 2 + .8 ln 4.
    background, class_ = 0.6 * low + 0.4 * high, 0.2 * low + 0.8 * high
    labels = [[[0, 1, 2, 2]]]
    assert loss_of(logits, labels) == pytest.approx((background + class_) / 2)
    assert loss_of(logits, [[[0, 0, 0, 1]]]) == pytest.approx((background + class_) / 2)
    assert loss_of(logits, [[[0, IGNORED, IGNORED, 1]]]) == pytest.approx((background + class_) / 2)
    # A kind without cells has no part, and nothing known costs nothing.
    assert loss_of(logits, [[[0, 0, 0, IGNORED]]]) == pytest.approx(background / 2)
    assert loss_of(logits, [[[1, 1, IGNORED, 2]]]) == pytest.approx(class_ / 2)
    assert loss_of(logits, [[[IGNORED] * 4]]) == 0
    # 20 classes: targets .6 and .02.
    logits = torch.zeros(1, 21, 1, 1)
    logits[0, 3] = 2.0
    expected = -(0.6 * 2 - math.log(20 + math.exp(2))) / 2
    assert loss_of(logits, [[[3]]]) == pytest.approx(expected)
    expected = -(0.02 * 2 - math.log(20 + math.exp(2))) / 2
    assert loss_of(logits, [[[4]]]) == pytest.approx(expected)


def test_it_is_torchs_smoothed_cross_entropy_of_another_share():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 3, 4), torch.randint(1, 5, (2, 3, 4))
    # torch spreads its share over all five labels: ε · 5/4 of it leaves 1 − ε for the label.
    theirs = F.cross_entropy(logits, labels, label_smoothing=0.4 * 5 / 4)
    torch.testing.assert_close(balanced_cross_entropy(logits, labels, 0.4), theirs / 2)


def test_a_cells_label_is_that_of_its_middle():
    labels = torch.arange(12).view(1, 2, 6)
    # Three columns of 2 pixels: middles 1, 3, 5; two rows of one pixel; one cell for all.
    assert at_cells(labels, (2, 3)).tolist() == [[[1, 3, 5], [7, 9, 11]]]
    assert at_cells(labels, (1, 1)).tolist() == [[[9]]]
    assert at_cells(labels, (2, 4)).tolist() == [[[0, 2, 3, 5], [6, 8, 9, 11]]]
    assert torch.equal(at_cells(labels, (2, 6)), labels)


def test_maps_are_stretched_by_hand():
    maps = stretched(torch.tensor([[[0.2, 0.4, 0.6]], [[0.5, 0.5, 0.5]]]))
    torch.testing.assert_close(maps[0], torch.tensor([[0, 0.5, 1]]), atol=1e-4, rtol=0)
    assert not maps[1].any() and maps.max() <= 1


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(Amn(backbone=TINY, rates=(1, 2)), 3).eval().requires_grad_(False)


def test_features_are_multiplied_by_a_function_of_the_tags(network):
    images, tags = torch.rand(2, 3, 32, 40), torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    features = network.features(images)
    gate = tags @ network.gate.weight.T + network.gate.bias
    first, second = network.head.branches
    gated = features * gate[:, :, None, None]
    plain = F.conv2d(gated, first.weight, first.bias, padding=1)
    plain = plain + F.conv2d(gated, second.weight, second.bias, padding=2, dilation=2)
    found = network.gated_logits(images, tags)
    assert found.shape == (2, 4, 4, 5)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-4)
    # Without being told: as if all were tagged, and logits are the means over the image.
    told = network.gated_logits(images, torch.ones(2, 3))
    scores = network.score_maps(features)
    torch.testing.assert_close(scores, told[:, 1:] - told[:, :1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(images), scores.mean((2, 3)), atol=1e-6, rtol=1e-4)


def test_scores_of_a_feature_that_is_all_around(network):
    vectors = torch.randn(2, network.gate.out_features)
    spread = vectors[:, :, None, None].expand(-1, -1, 9, 9)  # the middle sees no rim
    expected = network.score_maps(spread)[:, :, 4, 4]
    torch.testing.assert_close(network.vector_scores(vectors), expected, atol=1e-5, rtol=1e-4)


def test_dropout_is_off_after_training():
    torch.manual_seed(0)
    network = build(Amn(backbone=TINY, dropout=0.5), 3)
    images, tags = torch.rand(1, 3, 32, 32), torch.ones(1, 3)
    network.train().backbone.eval()
    assert not torch.equal(network.gated_logits(images, tags), network.gated_logits(images, tags))
    network.eval()
    assert torch.equal(network.gated_logits(images, tags), network.gated_logits(images, tags))


def test_maps_are_those_of_loops(network):
    images, spec = torch.rand(2, 3, 37, 50), Cam(scales=(1, 0.5), stride=8)
    tagged = torch.tensor([[True, False, True], [False, True, False]])
    found = cam.localize(network, Batch(images, tagged, range(2)), spec)
    assert found.shape == (2, 3, 5, 7)
    for image, tags, maps in zip(images, tagged, found, strict=True):
        total = 0
        for height, width in ((37, 50), (round(37 / 2), 25)):
            small = F.interpolate(
                image[None], (height, width), mode="bilinear", align_corners=False
            )
            for mirrored in (False, True):
                view = small.flip(-1) if mirrored else small
                logits = network.gated_logits(view, tags[None].float())
                logits = logits.flip(-1) if mirrored else logits
                total = total + F.interpolate(logits, (5, 7), mode="bilinear", align_corners=False)
        shares = (total[0] / 4).softmax(0)[1:]
        for map_, share in zip(maps, shares, strict=True):
            expected = (share - share.min()) / (share.max() - share.min() + 1e-5)
            torch.testing.assert_close(map_, expected, atol=1e-4, rtol=1e-3)


def test_maps_by_method_amn_are_those_by_cam_and_raw_on_sure_background_by_hand(network):
    images, tagged = torch.rand(2, 3, 32, 32), torch.ones(2, 3, dtype=torch.bool)
    batch = Batch(images, tagged, range(2), ["a", "b"])
    options = {"scales": (1,), "flip": False, "stride": 8}
    plain = cam.localize(network, batch, Cam(**options))
    assert torch.equal(amn.localize(network, batch, AmnMaps(**options)), plain)
    # Of the first image all is background; of the second nothing is known.
    masks = {"a": np.zeros((32, 32), np.uint8)}.get
    spec = AmnMaps(**options, sure_background="raw")
    assert (AmnMaps().helpers, spec.helpers) == ((), ("masks",))
    found = amn.localize(network, batch, spec, masks=masks)
    shares = network.gated_logits(images, tagged.float()).softmax(1)[:, 1:]
    torch.testing.assert_close(found[0], shares[0], atol=1e-5, rtol=1e-4)
    assert torch.equal(found[1], plain[1])
    # 0.2, 0.4 and 0.6, of which the first is background, the second 255, the third a class.
    row = torch.tensor([[[[0.2, 0.4, 0.6]]]])
    raw = amn.raw_on_background(row, torch.tensor([[[0, IGNORED, 2]]], dtype=torch.uint8))
    torch.testing.assert_close(raw, torch.tensor([[[[0.2, 0.5, 1]]]]), atol=1e-4, rtol=0)


def test_a_step_teaches_what_the_masks_show():
    torch.manual_seed(0)
    spec = Amn(backbone=TINY, rates=(1,), dropout=0, smoothing=0)
    network = build(spec, 2).train()
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[:, :, :, 16:] = 255  # the left half is background, the right half of the image's class
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[0, :, 16:], labels[1, :, 16:], labels[:, :4] = 1, 2, IGNORED
    batch, optimizer = [images, labels, torch.eye(2)], torch.optim.Adam(network.parameters(), 1e-2)
    rows = []
    for number in range(60):
        figures = step(network, batch, Moment(0, number, (0, 0, number)), spec)
        optimizer.zero_grad()
        figures["loss"].backward()
        optimizer.step()
        rows.append({name: value.item() for name, value in figures.items()})
    # The images are equal: their tags alone tell the classes apart.
    assert rows[0]["loss"] == pytest.approx(math.log(3), rel=0.2)
    assert rows[-1]["loss"] < 0.1 and rows[-1]["cell_agreement"] > 0.95


CONFIG = {
    "datasets": {"voc": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}, "amn": {"method": "amn"}},
    "maps": {
        "cam": {"method": "cam"},
        "lpcam": {"method": "lpcam"},
        "own": {"method": "amn"},
        "raw": {"method": "amn", "sure_background": "raw"},
    },
    "masks": {
        "crf-labels": {"method": "confident", "foreground_score": 0.3, "background_score": 0.05},
        "irn": {"method": "irn"},
    },
    "segmenters": {"net": {"method": "deeplabv2"}},
}


def experiments_of(*chains):
    config = parse_config(CONFIG | {"experiments": list(chains)})
    return config, build_experiments(config)


def test_a_chain_through_it():
    chain = "voc / vanilla / lpcam / crf-labels / amn / cam / irn / net"
    _, (experiment,) = experiments_of(chain)
    classifier = experiment.artifacts["classifier"]
    assert classifier.method == "amn" and list(classifier.upstream) == ["masks"]
    labels = classifier.upstream["masks"]
    assert labels.method == "confident"
    assert labels.upstream["maps"].method == "lpcam"
    maps = experiment.artifacts["maps"]
    assert maps.method == "cam" and maps.upstream == {"classifier": classifier}
    assert experiment.artifacts["masks"].method == "irn"
    assert experiment.artifacts["segmenter"].supervision == ("tags",)
    stages = [artifact.stage for _, artifact in experiment.products]
    assert stages.count("classifier") == stages.count("maps") == 2


def test_regions_are_of_the_plain_cam_before_it():
    chains = "voc / vanilla / cam / crf-labels / amn / cam", "voc / vanilla / cam / irn"
    for order in (chains, ("voc / vanilla / lpcam / crf-labels / amn / cam",)):
        config, experiments = experiments_of(*order)
        cams = reference_cams(config, experiments)
        measured = [a for a in all_artifacts(experiments).values() if a.stage in ("maps", "masks")]
        assert set(cams) == {artifact.key for artifact in measured}
        assert len({plain.id for plain in cams.values()}) == 1
        for plain in cams.values():
            assert plain.upstream["classifier"].method == "vanilla"


def test_it_follows_masks_alone():
    with pytest.raises(ConfigError, match="'amn' of classifiers follows one of masks"):
        experiments_of("voc / amn / cam")


def test_maps_that_are_raw_on_background_read_the_masks():
    chain = "voc / vanilla / cam / crf-labels / amn"
    _, (own, raw) = experiments_of(f"{chain} / {{own,raw}}")
    classifier = raw.artifacts["classifier"]
    assert own.artifacts["maps"].upstream == {"classifier": classifier}
    expected = {"classifier": classifier, "masks": classifier.upstream["masks"]}
    assert raw.artifacts["maps"].upstream == expected
    with pytest.raises(ConfigError, match=r"maps\.own: amn needs a classifier with label gate"):
        experiments_of("voc / vanilla / own")


def test_masks_that_are_255_alone_are_told_in_one_line(tmp_path):
    data = three_images(tmp_path, [CLASSES] * 3, [IGNORED])
    rows = rows_of(data.index, "train")
    ignored = [
        (name, np.full(size, IGNORED, np.uint8), {"size": list(size)})
        for name, size in zip(rows["image"], SIZES, strict=True)
    ]
    write_shard(data.files["masks"][0], {"id": MADE}, images_sha(rows), ignored)
    spec = small(Amn)
    recipe = {"stage": "classifier", "method": "amn", "spec": spec.key(), "seed": 0}
    recipe |= {"upstream": {"masks": MADE}, "dataset": data.dataset}
    task = Task(
        recipe, data.index, CLASSES, tmp_path, Machine(threads=1), tmp_path / "m", files=data.files
    )
    with pytest.raises(UserError, match="every pixel of every image is ignored") as error:
        views(task)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="its recipe has no masks upstream"):
        views(replace(task, recipe=recipe | {"upstream": {}}))
