"""Masks of boxes from their maps: by hand where the CRF is off, and as written down plainly."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from pydensecrf.utils import unary_from_softmax

from tags2masks.config.base import ConfigError
from tags2masks.config.instances import BoxMask
from tags2masks.instances import boxmask
from tags2masks.instances.windows import filled
from tags2masks.maps.objects import upsampled
from tags2masks.masks.dense_crf import mean_field
from tags2masks.object_maps import ObjectMap
from tags2masks.workflow.plan import Plan

OFF = {"gaussian": {"compat": 0}, "bilateral": {"compat": 0}}  # what comes in, comes out


def made(image, grid, box, seen=None, proposals=None, **options):
    """The mask and the possible extent of one object, by default with the code's thresholds."""
    options = {"thresholds": "share", "foreground": 0.85} | options
    grid = np.asarray(grid, np.float16)
    objects = [ObjectMap(1, box, False, 9, grid)]
    spec = BoxMask(**options)
    (levels,) = boxmask.make_masks(image, objects, seen or image.shape[:2], proposals, spec)
    return levels


def grey(*size):
    return np.full((*size, 3), 128, np.uint8)


def test_a_grid_at_the_images_size():
    grid = np.array([[0, 1], [0.5, 0]], np.float16)
    # Corners lie on corners: rows 0, 1/2, 1; columns 0, 1/3, 2/3, 1.
    expected = [[0, 1 / 3, 2 / 3, 1], [1 / 4, 1 / 3, 5 / 12, 1 / 2], [1 / 2, 1 / 3, 1 / 6, 0]]
    np.testing.assert_allclose(boxmask.enlarged(grid, (3, 4), (3, 4)), expected)
    # Seen in two columns and shown in four, of centres −¼, ¼, ¾, 1¼; the border is constant.
    row = boxmask.enlarged(np.array([[0.0, 1]]), (2, 4), (1, 2))
    np.testing.assert_allclose(row, [[0, 1 / 4, 3 / 4, 1]] * 2)
    assert boxmask.enlarged(np.array([[0.5]]), (2, 3), (7, 9)).tolist() == [[0.5] * 3] * 2


def test_a_grid_is_enlarged_as_it_is_optimised():
    grid = np.random.default_rng(0).random((5, 7)).astype(np.float16)
    expected = upsampled(torch.from_numpy(grid).float(), (37, 53)).numpy()
    np.testing.assert_allclose(boxmask.enlarged(grid, (37, 53), (37, 53)), expected, atol=1e-5)


@pytest.mark.parametrize(("theta", "count"), [(0.85, 15), (0.2, 80), (0.9, 10), (1, 0), (0, 99)])
def test_shares_of_a_box(theta, count):
    inside = filled((2, 1, 11, 10), (12, 14))
    values = np.zeros((12, 14))
    values[inside] = np.random.default_rng(0).permutation(np.arange(1, 101))
    found = boxmask.saturated(values, inside, theta)
    assert (found == 1).sum() == count and not found[~inside].any()
    limit = 100 - min(count, 99)  # the first value that is not of this share
    np.testing.assert_allclose(found[inside], np.minimum(values[inside] / limit, 1), atol=1e-7)


def test_a_share_that_the_map_does_not_fill():
    inside = filled((0, 0, 3, 1), (2, 4))
    values = np.array([[0, 0.2, 0, 0.4], [0, 0, 0.9, 0]])
    assert (boxmask.saturated(values, inside, 0.2) == (values > 0)).all()


def test_the_blur_is_cut_at_one_deviation_and_at_the_box():
    inside, values = filled((1, 0, 5, 4), (6, 8)), np.zeros((6, 8))
    values[0, 2], values[3, 4] = 1, 0.5
    weights = np.exp(-0.5 * (np.arange(-2, 3) / 2) ** 2)
    weights /= weights.sum()
    expected = np.zeros((6, 8))
    for row, column in np.ndindex(6, 8):
        for down, across in np.ndindex(5, 5):
            y, x = row + down - 2, column + across - 2
            y, x = (  # mirrored at the centre of the last pixel
                abs(at) if at < side else 2 * (side - 1) - at for at, side in ((y, 6), (x, 8))
            )
            expected[row, column] += weights[down] * weights[across] * values[y, x]
    expected *= inside
    np.testing.assert_allclose(boxmask.blurred(values, inside, 2), expected / expected.max())
    np.testing.assert_allclose(boxmask.blurred(values, inside, 0), values)


def test_the_default_blur_is_the_stride():
    inside, values = filled((0, 0, 49, 24), (50, 100)), np.zeros((50, 100))
    values[12, 30] = 1
    # A quarter of the image: 16 + 48 / 2 = 40.
    np.testing.assert_array_equal(
        boxmask.blurred(values, inside, None), boxmask.blurred(values, inside, 40)
    )


ROW = [[0.1, 0.3, 0.9, 1.0, 0.8, 0.2]]


def test_two_shares_by_hand():
    # In the box 0.3, 0.9, 1, 0.8: of θ 0.5 two are at 1, of 0.25 three, and others above 0.9 count.
    options = {"blur": 0, "foreground": 0.5, "background": 0.25, "small": 0} | OFF
    mask, possible = made(grey(1, 6), ROW, (1, 0, 4, 0), **options)
    assert mask.tolist() == [[False, False, True, True, True, False]]
    options["certainty"] = 0.999
    mask, possible = made(grey(1, 6), ROW, (1, 0, 4, 0), **options)
    assert mask.astype(int).tolist() == [[0, 0, 1, 1, 1, 0]]  # the third is the limit: 0.8 / 0.8
    mask, possible = made(grey(1, 6), ROW, (1, 0, 4, 0), **options | {"foreground": 0.75})
    assert mask.astype(int).tolist() == [[0, 0, 1, 1, 0, 0]]
    assert possible.astype(int).tolist() == [[0, 1, 1, 1, 1, 0]]  # the fourth, 0.3, is the limit


def test_two_values_by_hand():
    options = {"thresholds": "value", "foreground": 0.85, "background": 0.25, "small": 0} | OFF
    mask, possible = made(grey(1, 6), ROW, (1, 0, 4, 0), **options)
    assert mask.astype(int).tolist() == [[0, 0, 1, 1, 0, 0]]
    assert possible.astype(int).tolist() == [[0, 1, 1, 1, 1, 0]]
    same = made(grey(1, 6), ROW, (1, 0, 4, 0), **options | {"background": 0.85})
    np.testing.assert_array_equal(*same)


def test_a_small_box_is_filled_until_a_third_of_it_counts():
    size, box, grid = (10, 20), (2, 2, 6, 4), np.zeros((10, 20))
    grid[3, 4] = 1  # one pixel of 15, in 200
    options = {"thresholds": "value", "foreground": 0.5, "background": 0.5} | OFF
    one, whole = np.zeros(size, bool), filled(box, size)
    one[3, 4] = True
    for changes, expected in (
        ({"small": 0}, one),
        ({"small": 0.07}, one),  # the box is 0.075 of the image
        ({"small": 0.08}, whole),  # 0.7, 0.8 and 0.9 do nothing, 0.95 fills it
        ({"fill": (0.7, 0.8)}, one),  # the last one's
    ):
        for level in made(grey(*size), grid, box, **options | changes):
            np.testing.assert_array_equal(level, expected, str(changes))
    # 3 of 15 are a fifth, and 0.7 leaves them less than a third; 4 are more than a fifth.
    for count, expected in ((3, 15), (4, 4)):
        grid[2:5, 2:7] = np.arange(15).reshape(3, 5) < count
        mask, _ = made(grey(*size), grid, box, **options)
        assert mask.sum() == expected


def test_an_empty_map_is_a_filled_box():
    size, box = (4, 5), (0, 1, 3, 2)
    for changes in ({}, {"thresholds": "value"}, {"fill": (0.7,)}):  # the last: none helps
        for level in made(grey(*size), np.zeros((2, 2)), box, **OFF | changes):
            np.testing.assert_array_equal(level, filled(box, size))
    # A map that is empty in the box alone is empty.
    grid = [[0, 0, 0, 0, 1]] * 4
    assert made(grey(*size), grid, box, **OFF)[0].sum() == 8


def test_without_a_certain_pixel_the_possible_ones_count():
    options = {"thresholds": "value", "foreground": 1, "background": 0.5, "small": 0} | OFF
    mask, possible = made(grey(1, 6), ROW, (1, 0, 4, 0), **options)
    assert mask.astype(int).tolist() == possible.astype(int).tolist() == [[0, 0, 1, 1, 1, 0]]


def disc(size=(60, 80), centre=(30, 40), radius=14):
    """A bright disc on a dark ground, and its pixels."""
    rows, columns = np.indices(size)
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    image = np.random.default_rng(0).integers(40, 60, (*size, 3)).astype(np.uint8)
    image[inside] += 150
    return image, inside


def plainly(image, values, box, theta, deviation):
    """The public code's steps with the CRF on the whole image, written down for one level."""
    inside = filled(box, image.shape[:2])
    count = inside.sum()
    in_box = np.sort(np.where(inside, values, 0).ravel())[::-1]
    start = np.where(inside, np.minimum(values / (in_box[int(count * (1 - theta))] + 1e-8), 1), 0)
    start = boxmask.blurred(start, inside, deviation)
    unary = unary_from_softmax(np.stack([start, 1 - start]).astype(np.float32))
    spec = BoxMask()
    assert (spec.iterations, spec.gaussian.sxy, spec.gaussian.compat) == (10, 1, 3)
    assert (spec.bilateral.sxy, spec.bilateral.srgb, spec.bilateral.compat) == (80, 3, 4)
    return (mean_field(image, unary, spec)[0] > 0.9) & inside


@pytest.mark.parametrize("margin", [None, 10])
def test_the_levels_of_a_disc(margin):
    image, true = disc()
    box, grid = (26, 16, 54, 44), np.zeros((6, 8))
    grid[2:4, 3:5] = 1
    mask, possible = made(image, grid, box, blur=8, margin=margin)
    values = boxmask.enlarged(grid, (60, 80), (60, 80))
    sure, some = (plainly(image, values, box, theta, 8) for theta in (0.85, 0.2))
    np.testing.assert_array_equal(mask, sure)
    np.testing.assert_array_equal(possible, sure | some)
    assert 0 < mask.sum() < possible.sum() and not possible[~filled(box, (60, 80))].any()
    assert (mask & true).sum() / (mask | true).sum() > true.sum() / 29**2  # better than the box


def test_a_margin_limits_what_the_crf_sees():
    image, _ = disc()
    box, grid = (26, 16, 54, 44), np.ones((6, 8))
    near = image.copy()
    near[:, :10] = 255  # farther away than half a box's side of 29 pixels
    same = (made(picture, grid, box, blur=8, margin=0.5) for picture in (image, near))
    for first, second in zip(*same, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (0, 0, 39, 29), (39, 0, 39, 29), (5, 5, 6, 6)])
@pytest.mark.parametrize("thresholds", ["share", "value"])
def test_boxes_of_any_size(box, thresholds):
    image = np.random.default_rng(0).integers(256, size=(30, 40, 3), dtype=np.uint8)
    grid = np.random.default_rng(1).random((3, 4))
    mask, possible = made(image, grid, box, thresholds=thresholds)
    assert mask.any() and not (mask & ~possible).any()
    assert not possible[~filled(box, (30, 40))].any()


def test_the_defaults_are_the_texts():
    spec = BoxMask()
    assert (spec.thresholds, spec.foreground, spec.background) == ("value", 0.8, 0.2)


def test_no_objects_no_masks():
    assert list(boxmask.make_masks(grey(4, 4), [], (4, 4), None, BoxMask())) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"foreground": 0.1}, "background: 0.2 is above foreground, 0.1; what is certain must be"),
        ({"proposals": "mcg", "superpixels": (50,)}, "superpixels stand in for proposals; give on"),
        ({"superpixels": ()}, "superpixels"),
        ({"superpixels": (0,)}, "superpixels"),
        ({"fill": ()}, "fill"),
        ({"certainty": 1}, "certainty"),
        ({"blur": -1}, "blur"),
    ],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(ValidationError, match=said):
        BoxMask(**options)


CONFIG = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "detectors": {"fasterrcnn": {"method": "fasterrcnn"}},
    "maps": {"cam": {"method": "cam"}, "bbam": {"method": "bbam"}},
    "instances": {"boxmask": {"method": "boxmask"}},
    "segmenters": {"net": {"method": "deeplabv2"}},
    "evaluation": {"background_score": 0.5},
}


def test_a_chain_of_a_segmenter():
    plan = Plan(CONFIG | {"experiments": ["digits / fasterrcnn / bbam / boxmask / net"]})
    ((*_, (_, boxes), (_, masks), (_, net), _),) = [one.products for one in plan.experiments]
    assert boxes.method == "boxmask" and {of.method for of in boxes.upstream.values()} == {"bbam"}
    assert masks.method == "semantic" and net.upstream["masks"] is masks
    assert boxes.supervision == net.supervision == ("boxes",)


def test_maps_of_classes_alone_are_refused():
    said = (
        r"instances.boxmask: boxmask needs maps with a map of each object, and maps.cam \(cam\) "
        "has none; take one of method bbam"
    )
    with pytest.raises(ConfigError, match=said):
        Plan(CONFIG | {"experiments": ["digits / vanilla / cam / boxmask"]})


def test_the_folder_of_proposals_counts_by_its_name():
    one, two, other = (BoxMask(proposals=f"{where}") for where in ("a/mcg", "b/c/mcg", "a/other"))
    assert one.key() == two.key() != other.key() and one.folders() == {"proposals": "a/mcg"}
    assert BoxMask().folders() == {} and BoxMask().key()["proposals"] is None
