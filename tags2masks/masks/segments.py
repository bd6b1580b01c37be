"""Masks of whole segments: the rule of SEPL (Chen, Mai, Li & Chao, NeurIPS 2023 workshop ICBINB).

Segments of no class, such as SAM's, take the class of the pseudo-mask that they overlap most. A
segment counts if that overlap is more than half of the segment, or at least 85 % of the class's
region. Where no segment is, the pseudo-mask stays; where only segments are that do not count, is
background. The shares and these two rules are those of the authors' public code, which however
gives a segment to the first class, in the order of their ids, that it counts for, and leaves the
pixels of later classes in it as they were. The largest overlap is the paper's, known of summaries;
its text has not been compared.

Ours: of segments that overlap the smallest stands (the code: that of the
highest class id), and pixels of 255 are no overlap and stay 255 unless a segment that counts covers
them. With an image's superpixels every pixel is in one segment, and the first rule is a vote.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.config.masks import Segments
from tags2masks.instance_store import Instance
from tags2masks.mask_ids import IGNORED


def make_mask(mask: np.ndarray, spec: Segments, segments: Sequence[Instance]) -> np.ndarray:
    """The refined mask, uint8 [H, W]; 255 stays where no segment that counts is.

    mask: uint8 [H, W]; segments: of the same image, whatever their class ids. Of equal overlaps the
    lower class id counts, of equal sizes the earlier segment.
    """
    regions = np.bincount(mask.ravel(), minlength=256)
    covered = np.zeros(mask.shape, bool)
    counted = []
    for number, segment in enumerate(segments):
        x1, y1, x2, y2 = segment.box  # nothing is outside it: a large image has many small segments
        window = np.s_[y1 : y2 + 1, x1 : x2 + 1]
        pixels = segment.mask[window]
        covered[window] |= pixels
        overlaps = np.bincount(mask[window][pixels], minlength=256)
        size = int(overlaps.sum())
        overlaps[[0, IGNORED]] = 0
        class_id = int(overlaps.argmax())
        if counts(int(overlaps[class_id]), size, int(regions[class_id]), spec):
            counted.append((-size, -number, class_id, window, pixels))
    refined = np.where(covered & (mask != IGNORED), np.uint8(0), mask)
    for *_, class_id, window, pixels in sorted(counted, key=lambda each: each[:2]):
        refined[window][pixels] = class_id
    return refined


def counts(overlap: int, segment: int, region: int, spec: Segments) -> bool:
    """Whether a segment counts for a class; all in pixels: what they share, and each of them."""
    if overlap == 0:
        return False
    of_region = spec.region_share is not None and overlap >= spec.region_share * region
    return overlap > spec.segment_share * segment or of_region
