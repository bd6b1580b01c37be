"""COCO's regions: RLE beside pycocotools, polygons and overlaps by hand."""

import numpy as np
from pycocotools import mask as coco_mask

from tags2masks.data.coco_regions import region_of, semantic_mask, unpacked


def square(x1, y1, x2, y2):
    """A polygon whose pixels are x1 to x2 and y1 to y2."""
    return [[x1, y1, x2 + 1, y1, x2 + 1, y2 + 1, x1, y2 + 1]]


def test_of_equal_regions_the_first_is_in_front():
    same = [np.ones((2, 2), bool)] * 3
    objects = [{"category_id": number} for number in (4, 5, 6)]
    mask = semantic_mask(same, objects, {4: 1, 5: 2, 6: 3}, "class")
    assert mask.tolist() == [[1, 1], [1, 1]]


def test_rle_is_what_pycocotools_decodes():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.5, 1.0):
        region = rng.random((37, 53)) < share
        packed = coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))
        text = packed["counts"].decode()
        found = region_of({"size": [37, 53], "counts": text}, (37, 53))
        np.testing.assert_array_equal(found, region)
        plain = {"size": [37, 53], "counts": unpacked(text)}
        np.testing.assert_array_equal(region_of(plain, (37, 53)), region)


def test_several_polygons_are_one_region():
    parts = [*square(0, 0, 1, 0), *square(1, 0, 2, 1), [5, 0, 6, 1], [-2, 3, -1, 3, -1, 4]]
    found = region_of(parts, (4, 6))
    assert found.astype(int)[:2].tolist() == [[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]]
    assert not region_of([[5, 0, 6, 1]], (4, 6)).any()
