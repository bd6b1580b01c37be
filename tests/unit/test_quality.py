"""What is counted in shards and mask files."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from tags2masks.config.masks import Threshold
from tags2masks.data.truth import plain_table
from tags2masks.errors import UserError
from tags2masks.masks.threshold import make_mask
from tags2masks.metrics.contour import contour_counts
from tags2masks.metrics.curve import confusions, thresholds
from tags2masks.metrics.quality import Chunk, label_confusion, map_confusions
from tags2masks.parallel import fold
from tags2masks.store import write_shard

CLASSES = ["cat", "dog"]
TABLE = plain_table(2)


def write_png(path, ids):
    Image.fromarray(np.asarray(ids, np.uint8)).save(path)
    return str(path)


@pytest.fixture
def dataset(tmp_path):
    """Five images of odd sizes: (maps, class names, truth) by image id, and their mask files."""
    rng = np.random.default_rng(0)
    images, truths = {}, []
    for number, names in enumerate([["cat"], ["cat", "dog"], ["dog"], [], ["dog"]]):
        size = (13 + number, 10 + 3 * number)
        stored = (len(names), -(-size[0] // 4), -(-size[1] // 4))
        truth = rng.choice(np.array([0, 1, 2, 255], np.uint8), size)
        images[f"i{number}"] = rng.random(stored).astype(np.float16), names, truth
        truths.append((f"i{number}", write_png(tmp_path / f"i{number}.png", truth), size))
    return images, truths


def map_shard(path, images):
    entries = (
        (image, maps, {"classes": names, "size": list(truth.shape)})
        for image, (maps, names, truth) in images.items()
    )
    write_shard(path, {"id": "cam-1"}, "sha-1", entries)
    return str(path)


def mask_shard(path, images, masks):
    entries = ((i, mask, {"size": list(mask.shape)}) for i, mask in zip(images, masks, strict=True))
    write_shard(path, {"id": "threshold-1"}, "sha-1", entries)
    return str(path)


def masks_of(images, tau):
    ids = {"cat": 1, "dog": 2}
    return [
        make_mask(
            np.zeros((*truth.shape, 3), np.uint8),
            maps,
            [ids[name] for name in names],
            Threshold(background_score=tau),
        )
        for maps, names, truth in images.values()
    ]


def test_maps_swept_in_chunks_equal_masks_made_and_measured(tmp_path, dataset):
    images, truths = dataset
    limits = thresholds(10, 0.45)
    path = map_shard(tmp_path / "maps.zarr.zip", images)
    chunks = [Chunk(path, "cam-1", "sha-1", part) for part in (truths[:2], truths[2:])]
    swept = partial(map_confusions, table=TABLE, classes=CLASSES, limits=limits)
    quality = fold(swept, chunks, np.add, workers=1)
    assert len(quality.histogram) == 1 and not quality.high.any()  # no CAM, no regions
    assert not quality.contours.any()  # not asked for
    matrices = confusions(quality.histogram[0])
    assert matrices.shape == (12, 3, 3)
    for tau, matrix in zip(limits, matrices, strict=True):
        made = mask_shard(tmp_path / "masks.zarr.zip", images, masks_of(images, float(tau)))
        chunk = Chunk(made, "threshold-1", "sha-1", truths)
        measured = label_confusion(chunk, TABLE, CLASSES).matrix
        np.testing.assert_array_equal(matrix, measured[:, :3])
        assert not measured[:, 3].any()


def test_contours_are_counted_in_chunks_of_masks_and_of_the_maps_seeds(tmp_path, dataset):
    images, truths = dataset
    made = masks_of(images, 0.45)
    true = [truth for _, _, truth in images.values()]
    expected = sum(contour_counts(*pair, 2) for pair in zip(true, made, strict=True))
    assert expected.min() > 0
    maps = map_shard(tmp_path / "maps.zarr.zip", images)
    masks = mask_shard(tmp_path / "masks.zarr.zip", images, made)
    parts = truths[:2], truths[2:]
    known = {"table": TABLE, "classes": CLASSES}
    seeds = partial(map_confusions, **known, limits=thresholds(10, 0.45), contours_at=0.45)
    of_maps = fold(seeds, [Chunk(maps, "cam-1", "sha-1", p) for p in parts], np.add, workers=1)
    of_masks = fold(
        partial(label_confusion, **known),
        [Chunk(masks, "threshold-1", "sha-1", part) for part in parts],
        np.add,
        workers=1,
    )
    np.testing.assert_array_equal(of_maps.contours, expected)
    np.testing.assert_array_equal(of_masks.contours, expected)


def test_only_the_chunks_images_count_and_what_has_no_label_is_told(tmp_path, dataset):
    images, truths = dataset
    masks = [np.where(truth == 255, 1, truth).astype(np.uint8) for _, _, truth in images.values()]
    masks[1][:2] = 255
    made = mask_shard(tmp_path / "masks.zarr.zip", images, masks)
    found = label_confusion(Chunk(made, "threshold-1", "sha-1", truths[1:2]), TABLE, CLASSES)
    assert found.images == [("i1", 1)]  # all that has a label has the right one
    truth = images["i1"][2]
    for number in range(3):
        expected = [0, 0, 0, (truth[:2] == number).sum()]
        expected[number] = (truth[2:] == number).sum()
        assert found.matrix[number].tolist() == expected


def test_each_image_has_its_own_mean_iou(tmp_path):
    images = ["a", "b", "c"]
    truths = [[[0, 0, 1, 1]], [[2, 2, 0, 0]], [[255, 255, 255, 255]]]
    masks = [[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[1, 1, 1, 1]]]
    path = mask_shard(tmp_path / "masks.zarr.zip", images, np.array(masks, np.uint8))
    rows = [
        (image, write_png(tmp_path / f"{image}.png", truth), (1, 4))
        for image, truth in zip(images, truths, strict=True)
    ]
    chunks = [Chunk(path, "threshold-1", "sha-1", part) for part in (rows[:1], rows[1:])]
    one, two = (label_confusion(chunk, TABLE, CLASSES) for chunk in chunks)
    # a: background 1/2, cat 2/3; b: background 2/4, dog 0; c has no true pixel.
    assert one.images == [("a", pytest.approx(7 / 12))]
    both = one + two
    assert both.images == [*one.images, ("b", 0.25)]
    assert both.matrix.tolist() == [[3, 1, 0, 0], [0, 2, 0, 0], [2, 0, 0, 0]]


def test_classes_are_known_by_name(tmp_path):
    """A map of dog alone, scored 1 all over, on a truth of dog: id 2, though it is map 0."""
    images = {"a": (np.ones((1, 1, 1), np.float16), ["dog"], np.full((2, 3), 2, np.uint8))}
    truths = [("a", write_png(tmp_path / "a.png", images["a"][2]), (2, 3))]
    chunk = Chunk(map_shard(tmp_path / "m.zarr.zip", images), "cam-1", "sha-1", truths)
    limits = np.array([0, 0.5, 1], np.float32)
    [histogram] = map_confusions(chunk, TABLE, CLASSES, limits).histogram
    assert histogram[2, 2].tolist() == [0, 0, 6, 0] and histogram.sum() == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["bird"]}, "maps.zarr.zip: image 'a': unknown class 'bird'; delete it"),
        ({"size": [3, 2]}, r"maps.zarr.zip: image 'a': maps of a \[3, 2\] image, but .* \[2, 3\]"),
        ({}, "maps.zarr.zip: image 'a': maps hold scores outside 0 to 1 or that are no numbers"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path, change, message):
    attributes = {"classes": ["cat"], "size": [2, 3]} | change
    path = tmp_path / "maps.zarr.zip"
    write_shard(
        path, {"id": "cam-1"}, "s", [("a", np.full((1, 1, 1), np.nan, np.float16), attributes)]
    )
    truths = [("a", write_png(tmp_path / "a.png", np.zeros((2, 3))), (2, 3))]
    with pytest.raises(UserError, match=message):
        map_confusions(Chunk(str(path), "cam-1", "s", truths), TABLE, CLASSES, np.float32([0.5]))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((2, 3), 9, np.uint8), "labels hold the id 9; valid are 0 to 2 and 255; delete it"),
        (np.zeros((3, 2), np.uint8), r"truth is \(2, 3\), labels are \(3, 2\); delete it"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, mask, message):
    path = mask_shard(tmp_path / "masks.zarr.zip", ["a"], [mask])
    truths = [("a", write_png(tmp_path / "a.png", np.zeros((2, 3))), (2, 3))]
    with pytest.raises(UserError, match=f"masks.zarr.zip: image 'a': {message}"):
        label_confusion(Chunk(path, "threshold-1", "sha-1", truths), TABLE, CLASSES)
