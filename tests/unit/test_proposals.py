"""Masks refined by proposals: by hand, pixel by pixel, and files of MCG."""

import numpy as np
import pytest
from scipy.io import savemat
from skimage.segmentation import felzenszwalb

from tags2masks.errors import UserError
from tags2masks.instances.proposals import Proposals, of_superpixels, read_mcg, refined

# Two pixels to a superpixel, 0 to 4, of one row.
REGIONS = np.repeat(np.arange(5), 2)[None]


def proposals(*members):
    """Proposals with these superpixels."""
    return Proposals(REGIONS, np.array([[n in own for n in range(5)] for own in members]))


def row(*pixels):
    mask = np.zeros((1, 10), bool)
    mask[0, list(pixels)] = True
    return mask


def found(mask, inside, *members, share=0.95):
    return refined(mask, inside, proposals(*members), share).nonzero()[1].tolist()


ALL = row(*range(10))


def test_the_most_alike_and_those_that_lie_in_the_mask():
    mask = row(0, 1, 2, 3, 4)
    # IoU: {0} 2/5, {1, 2} 3/6, {2} 1/6, {3} 0. {0} lies in the mask.
    assert found(mask, ALL, {0}, {1, 2}, {2}, {3}) == [0, 1, 2, 3, 4, 5]
    assert found(mask, ALL, {1, 2}, {2}) == [2, 3, 4, 5]
    assert found(mask, ALL, {0}, {1}) == [0, 1, 2, 3]  # the first of the best, and the other
    # {1, 2} lies in the mask by three quarters.
    assert found(mask, ALL, {0, 1}, {1, 2}) == [0, 1, 2, 3]
    assert found(mask, ALL, {0, 1}, {1, 2}, share=0.7) == [0, 1, 2, 3, 4, 5]


def test_the_mask_stays_without_a_proposal_like_it():
    mask = row(0, 1, 2)
    assert found(mask, ALL, {3}, {4}) == [0, 1, 2]
    assert refined(mask, ALL, Proposals(REGIONS, np.zeros((0, 5), bool)), 0.95) is mask
    empty = row()
    assert found(empty, ALL, {0}, {1}) == []


def test_proposals_must_fit_the_box():
    mask, box = row(2, 3, 4), row(2, 3, 4, 5, 6)
    # {0, 1} has a superpixel outside; {1, 2, 3} only a pixel, the best is in the box by 5/6.
    assert found(mask, box, {0, 1}) == [2, 3, 4]
    assert found(mask, box, {1, 2, 3}) == [2, 3, 4]
    assert found(mask, box, {1, 2, 3}, share=0.8) == [2, 3, 4, 5, 6]  # cut to the box
    assert found(mask, box, {1}, {1, 2, 3}) == [2, 3]


def test_a_proposal_may_have_to_lie_in_the_mask_with_every_pixel():
    # {0} does; {1} and {1, 2}, the most alike, don't, and are not added for that.
    assert found(row(0, 1, 2), ALL, {0}, {1}, {1, 2}, share=1) == [0, 1]
    assert found(row(2, 3), row(1, 2, 3, 4), {1}, {0, 1}, share=1) == [2, 3]


def pixel_by_pixel(mask, inside, masks, regions, share):
    """Eq. 5.4 with the code's limits, on whole masks."""
    outside = [n for n in np.unique(regions) if not inside[regions == n].any()]
    usable = [one for one in masks if not np.isin(regions[one], outside).any()]
    best, highest = None, 0
    for one in usable:
        overlap = (one & mask).sum() / (one | mask).sum()
        if overlap > highest and (one & inside).sum() > share * one.sum():
            best, highest = one, overlap
    if best is None:
        return mask
    union = best.copy()
    for one in usable:
        if (one & mask).sum() > share * one.sum():
            union |= one
    return union & inside


@pytest.mark.parametrize("seed", range(8))
def test_any_proposals_are_as_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    regions = np.kron(np.arange(36).reshape(6, 6), np.ones((3, 3), int))[:17, :16]
    likely = np.full((6, 6), 0.01)
    likely[1:4, 1:4] = 0.3  # in the box and mostly in the mask
    members = rng.random((40, 36)) < likely.ravel()
    members[np.arange(36), np.arange(36)] = True
    mask, inside = np.zeros((2, 17, 16), bool)
    inside[2:15, 1:14] = mask[4:12, 3:11] = True
    mask &= rng.random(mask.shape) < 0.97
    masks = [own[regions] for own in members]
    expected = pixel_by_pixel(mask, inside, masks, regions, 0.9)
    np.testing.assert_array_equal(refined(mask, inside, Proposals(regions, members), 0.9), expected)
    assert expected.any() and (expected != mask).any()


def test_superpixels_of_several_scales():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = 200
    image[5:15, 20:25] = 90
    both = of_superpixels(image, (10, 1000))
    layers = [felzenszwalb(image, scale=scale) for scale in (10, 1000)]
    expected = {(layer == n).tobytes() for layer in layers for n in np.unique(layer)}
    shown = [own[both.regions] for own in both.members]
    assert {each.tobytes() for each in shown} == expected
    assert len(shown) == sum(len(np.unique(layer)) for layer in layers) >= 4


def cells(*numbers):
    """Cells as MCG's files have them."""
    array = np.empty((len(numbers), 1), object)
    for at, own in enumerate(numbers):
        array[at, 0] = np.array([own], np.uint16)
    return array


def written(path, labels, superpixels):
    savemat(path, {"labels": labels, "superpixels": np.array(superpixels, np.uint16)})
    return path


def test_a_file_of_mcg(tmp_path):
    path = written(tmp_path / "a.mat", cells([1, 4], [2], [1, 2, 4]), [[1, 1, 2], [4, 4, 2]])
    read = read_mcg(path, (2, 3))
    assert read.regions.tolist() == [[0, 0, 1], [2, 2, 1]]
    assert read.members.astype(int).tolist() == [[1, 0, 1], [0, 1, 0], [1, 1, 1]]


def test_files_that_are_none(tmp_path):
    good = written(tmp_path / "a.mat", cells([1]), [[1, 1]])
    said = "superpixels of 2 × 1 pixels, but the image has 3 × 1; take the proposals of these"
    with pytest.raises(UserError, match=rf"a\.mat: {said}"):
        read_mcg(good, (1, 3))
    unknown = written(tmp_path / "b.mat", cells([1], [3]), [[1, 2]])
    savemat(tmp_path / "c.mat", {"labels": cells([1])})
    (tmp_path / "d.mat").write_bytes(good.read_bytes()[:-9])
    (tmp_path / "e.mat").write_text("no file of Matlab" * 20)
    (tmp_path / "f.mat").write_bytes(b"")
    (tmp_path / "g.mat").mkdir()
    written(tmp_path / "h.mat", np.zeros((0, 0)), np.zeros((0, 0)))
    for path in [unknown, *(tmp_path / f"{name}.mat" for name in "cdefgx")]:
        with pytest.raises(UserError, match=rf"{path.name}: no proposals as MCG's are pub") as told:
            read_mcg(path, (1, 2))
        assert len(str(told.value).splitlines()) == 1
    with pytest.raises(UserError, match=r"h\.mat: superpixels of 0 × 0 pixels, but the image has"):
        read_mcg(tmp_path / "h.mat", (1, 2))
