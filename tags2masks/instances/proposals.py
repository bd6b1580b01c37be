"""Masks refined by proposals: Lee's thesis, "Label-Efficient Learning for Object Recognition"
(2023), eq. 5.4, with the limits of BBAM's public code (Lee et al., CVPR 2021).

The proposals are those of MCG (Pont-Tuset et al., TPAMI 2017), sets of superpixels that its authors
published. MCG is not built here; superpixels of several scales, each a proposal, can stand in.

As in the public code, proposals with a superpixel that does not touch the box are left out, the
best one must lie in the box, and what is inside the mask need not be so entirely. The code adds up
coordinates of pixels where it means to count them; here they are counted.

Does not import torch: worker processes import this module.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from skimage.segmentation import felzenszwalb

from tags2masks.errors import UserError
from tags2masks.given import check_given

DAMAGE = (
    MatReadError, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError,
    NotImplementedError, EOFError, zlib.error,
)  # fmt: skip


class Proposals(NamedTuple):
    """Masks of an image that may be objects.

    regions: int [H, W], superpixels numbered from 0 to S − 1; members: bool [P, S], whether a
    superpixel is of a proposal.
    """

    regions: np.ndarray
    members: np.ndarray


def read_mcg(file: Path, size: tuple[int, int]) -> Proposals:
    """The proposals of an image of this (height, width), from a file as MCG's authors publish them.

    Its `superpixels` are numbered, [H, W], and `labels` are cells with the numbers of each
    proposal. Raises UserError naming the file if it is absent, damaged or of another size.
    """
    try:
        check_given(file)
        read = loadmat(str(file), variable_names=["superpixels", "labels"])
        superpixels, cells = np.asarray(read["superpixels"]), read["labels"].ravel()
        numbers, regions = np.unique(superpixels.astype(np.int64), return_inverse=True)
        members = np.zeros((len(cells), len(numbers)), bool)
        for own, cell in zip(members, cells, strict=True):
            wanted = np.asarray(cell).astype(np.int64).ravel()
            places = np.searchsorted(numbers, wanted).clip(max=len(numbers) - 1)
            if (numbers[places] != wanted).any():
                raise ValueError("a proposal has a superpixel that the image has not")
            own[places] = True
    except DAMAGE as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"{file}: no proposals as MCG's are published ({said}); get it again"
        ) from None
    if superpixels.shape != size:
        shown = " × ".join(map(str, superpixels.shape[::-1]))
        raise UserError(
            f"{file}: superpixels of {shown} pixels, but the image has {size[1]} × {size[0]}; take "
            "the proposals of these images"
        )
    return Proposals(regions.reshape(size), members)


def of_superpixels(image: np.ndarray, scales: Sequence[float]) -> Proposals:
    """Every superpixel of Felzenszwalb & Huttenlocher (2004) of each scale, as a proposal.

    image: uint8 [H, W, 3]. Other parameters are scikit-image's.
    """
    layers = [felzenszwalb(image, scale=scale).ravel() for scale in scales]
    # Pixels that all scales put together are a region.
    combined, regions = np.unique(np.stack(layers), axis=1, return_inverse=True)
    members = [own[None] == np.unique(own)[:, None] for own in combined]
    return Proposals(regions.reshape(image.shape[:2]), np.concatenate(members))


def refined(mask: np.ndarray, inside: np.ndarray, proposals: Proposals, share: float) -> np.ndarray:
    """The proposal that is most like the mask, with those that lie in it: bool [H, W] (eq. 5.4).

    mask: bool [H, W]; inside: the pixels of its box, which bounds the result; share: of a
    proposal's pixels that must be in the mask, or for the best one in the box: more than this, or
    all. Without a best one it is the mask as it is.
    """
    regions, count = proposals.regions.ravel(), proposals.members.shape[1]
    area, in_mask, in_box = (
        np.bincount(regions, where.ravel(), count) for where in (np.ones_like(mask), mask, inside)
    )
    members = proposals.members[~proposals.members[:, in_box == 0].any(axis=1)]
    areas, common, boxed = (members @ sums for sums in (area, in_mask, in_box))
    overlaps = common / np.maximum(areas + mask.sum() - common, 1)
    overlaps[(boxed <= share * areas) & (boxed < areas)] = 0
    if not overlaps.size or overlaps.max() == 0:
        return mask
    chosen = (common > share * areas) | (common == areas)
    chosen[overlaps.argmax()] = True
    return members[chosen].any(axis=0)[proposals.regions] & inside
