"""Semantic masks of instances, as BBAM (Lee et al., CVPR 2021) trains DeepLab on its own.

Lee's thesis (section 5.3.3): pixels of two or more classes are ignored. BBAM's code draws large
instances first, and lets an instance whose box lies in the box of another cover it; so do we, in
any order. As in the code, pixels that may or may not be of some instance are ignored, whatever
other instances are there.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from tags2masks.instance_store import Corners, Instance
from tags2masks.mask_ids import IGNORED


def make_mask(
    size: tuple[int, int], instances: Sequence[Instance], tagged: Iterable[int] = ()
) -> np.ndarray:
    """The mask, uint8 [H, W]: 0 where no instance is, 255 where instances of two classes are, and
    where an instance possibly is, but not for certain.

    Of instances of two classes at a pixel, one counts for nothing if its box contains the box of
    the other and is not equal to it. tagged: ids of the image's classes; if one has no instance, it
    may be anywhere, and pixels without an instance are 255 too.
    """
    pairs = [(each, each.mask) for each in instances]
    first = np.zeros(size, np.uint8)  # the class of the pixel's first instance
    mixed = np.zeros(size, bool)
    for each, mask in pairs:
        for other, above in pairs:
            if other.class_id != each.class_id and _contains(each.box, other.box):
                mask = mask & ~above
        mixed |= mask & (first != 0) & (first != each.class_id)
        first[mask & (first == 0)] = each.class_id
    for each, mask in pairs:
        if each.possible_code is not None:
            mixed |= each.possible & ~mask
    first[mixed] = IGNORED
    if set(tagged) - {each.class_id for each in instances}:
        first[first == 0] = IGNORED
    return first


def _contains(outer: Corners, inner: Corners) -> bool:
    """Whether a box contains another, and is not equal to it."""
    return (
        outer != inner
        and outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[2] >= inner[2]
        and outer[3] >= inner[3]
    )
