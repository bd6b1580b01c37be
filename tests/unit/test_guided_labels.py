"""Certain labels that saliency guides, and masks that it cuts, by hand."""

import numpy as np
import pytest
import torch

from tags2masks.affinity.psa import agreed_cells
from tags2masks.config.crf import Bilateral, Gaussian
from tags2masks.config.masks import Agreed, Confident, SaliencyCheck, SaliencyCut
from tags2masks.masks import agreed, confident, saliency_check, saliency_cut
from tags2masks.masks.guides import guided
from tags2masks.masks.seeds import upsample

# A CRF without pairwise terms leaves labels as they are.
STILL = {"gaussian": Gaussian(compat=0), "bilateral": Bilateral(compat=0), "iterations": 1}
IMAGE = np.zeros((1, 4, 3), np.uint8)


def row(*values):
    """A map of one row, float16 [1, 1, w]."""
    return np.array([[values]], np.float16)


def test_the_truth_table():
    certain, objects = np.array([[0, 0, 7, 7]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8)
    by_code = guided(certain, objects, keep_classes=True)
    by_paper = guided(certain, objects, keep_classes=False)
    assert by_code.tolist() == [[0, 255, 7, 7]] and by_paper.tolist() == [[0, 255, 7, 255]]


def spec_of(block, **fields):
    return block(saliency="c2am", **STILL, **fields)


@pytest.mark.parametrize(("disagreement", "last"), [("ignored", 255), ("cut", 0)])
def test_confident_labels_by_hand(disagreement, last):
    # No class and not salient, salient alone, both, a class alone: cut before the CRF, it is gone.
    spec = spec_of(Confident, foreground_score=0.4, disagreement=disagreement)
    maps, saliency = row(0.3, 0.4, 0.5, 0.9), row(0.1, 0.2, 0.2, 0.05)
    labels = confident.make_mask(IMAGE, maps, [7], spec, saliency)
    assert labels.tolist() == [[0, 255, 7, last]]


@pytest.mark.parametrize(("disagreement", "last"), [("ignored", 255), ("cut", 0)])
def test_agreed_labels_by_hand(disagreement, last):
    # With power 1 a class wins where it scores above 0.5.
    spec = spec_of(Agreed, low_power=1, keep_probabilities=True, disagreement=disagreement)
    maps, saliency = row(0.3, 0.4, 0.6, 0.9), row(0.1, 0.2, 0.2, 0.05)
    made = agreed.make_mask(IMAGE, maps, [7], spec, saliency)
    assert made.mask.tolist() == [[0, 255, 7, last]]
    # AffinityNet's labels of cells of one pixel say the same, in numbers of the image's classes.
    probabilities = torch.from_numpy(made.further["probabilities"])[None]
    cells = agreed_cells(probabilities, torch.Size((1, 4)))
    assert cells.tolist() == [[[0, 255, 1, last]]]


@pytest.mark.parametrize(
    ("module", "block", "fields"),
    [
        (confident, Confident, {"foreground_score": 0.4}),
        (agreed, Agreed, {"low_power": 1}),
    ],
)
def test_an_image_without_a_class_is_background(module, block, fields):
    none = np.zeros((0, 1, 4), np.float16)
    made = module.make_mask(IMAGE, none, [], spec_of(block, **fields), row(1, 1, 0, 0))
    assert not getattr(made, "mask", made).any()


def test_saliency_takes_the_place_of_the_background_score():
    assert spec_of(Confident, foreground_score=0.4).background_score == 0.4
    with pytest.raises(ValueError, match="the saliency tells the background"):
        spec_of(Confident, foreground_score=0.4, background_score=0.1)
    # Without a foreground score, this is chosen.
    assert spec_of(Confident).background_score.method == "separation"
    assert spec_of(Agreed, low_power=4).background_score is None
    assert (
        "david2023pnoc" in spec_of(Confident).cited() and "david2023pnoc" not in Confident().cited()
    )


def test_the_complement_of_saliency_by_hand():
    spec = SaliencyCut(saliency="c2am")
    maps = np.concatenate([row(0.6, 0.6, 0.2, 0.0), row(0.5, 0.7, 0.1, 0.0)])
    # Background scores 0.5, 0.25, 0.8 and 0 (which wins the tie).
    labels = saliency_cut.make_mask(IMAGE, maps, [7, 9], spec, row(0.5, 0.75, 0.2, 1.0))
    assert labels.tolist() == [[7, 9, 0, 0]]


def test_edams_cut_by_hand():
    spec = SaliencyCut(saliency="c2am", background="cut")
    # A saliency of 20 of 255 is background, of 21 is not; a peak stands without saliency.
    saliency = row(20 / 255 - 1e-4, 21 / 255, 0.0, 0.0, 1.0)
    image = np.zeros((1, 5, 3), np.uint8)
    labels = saliency_cut.make_mask(image, row(0.5, 0.5, 0.5, 1.0, 0.0), [7], spec, saliency)
    assert labels.tolist() == [[0, 7, 0, 7, 0]]


def test_a_maps_highest_pixel_stands_though_none_reaches_its_maximum():
    spec = SaliencyCut(saliency="c2am", background="cut")
    maps = np.array([[[0, 0, 0], [0, 1, 0], [0, 0, 0]]], np.float16)
    image, nothing = np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.float16)
    assert upsample(maps, (8, 8)).max() < 0.9
    labels = saliency_cut.make_mask(image, maps, [7], spec, nothing)
    # The four pixels about the middle are equally near to that of the map.
    assert labels.nonzero()[0].tolist() == [3, 3, 4, 4] and (labels[3:5, 3:5] == 7).all()
    empty = saliency_cut.make_mask(image, maps[:0], [], spec, nothing + 1)
    assert not empty.any()


def test_masks_are_checked_by_hand():
    mask = np.array([[0, 0, 7, 7, 255]], np.uint8)
    spec = SaliencyCheck(saliency="c2am")
    checked = saliency_check.make_mask(mask, spec, row(0.5, 0.6, 0.6, 0.5, 0.9))
    assert checked.tolist() == [[0, 255, 7, 255, 255]]
    assert mask.tolist() == [[0, 0, 7, 7, 255]]
