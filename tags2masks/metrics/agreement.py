"""Warnings on tags and masks of a data set that do not agree; for evaluation only."""

from collections.abc import Sequence

import numpy as np

from tags2masks.data.warnings import Warned, listed

AGREEING = 0.75
"""Warn if fewer of the images with a class's tag or region than this share have both."""


def agreement_warnings(
    together: np.ndarray, shown: np.ndarray, tagged: np.ndarray, classes: Sequence[str]
) -> list[Warned]:
    """Warnings on classes whose tags and regions are often not in the same images.

    together: [K tags, K regions], number of images with both; shown, tagged: [K], number of images
    with the class's region, and with its tag.
    """
    either = tagged[:, None] + shown[None, :] - together
    shares = np.where(either > 0, together / np.maximum(either, 1), 0.0)
    poor = [k for k in range(len(classes)) if either[k, k] and shares[k, k] < AGREEING]
    if not poor:
        return []
    said = []
    for k in poor:
        text = (
            f"{classes[k]} (both in {together[k, k]} of {either[k, k]} images that have its tag or "
            "its region"
        )
        other = int(shares[:, k].argmax())
        if other != k and shares[other, k] >= AGREEING:
            text += f"; its regions go with the tag {classes[other]}"
        said.append(text + ")")
    names = [classes[k] for k in poor]
    return [
        Warned(
            f"tags and masks differ: {listed(names)}",
            f"tags and masks differ for {listed(said)}; check the tags, the order of the classes "
            "and what the masks' values stand for",
        )
    ]


def unseen_warnings(shown: np.ndarray, classes: Sequence[str], split: str) -> list[Warned]:
    """Warnings on classes that no mask of a split shows; shown: [K], as above."""
    names = [name for name, count in zip(classes, shown, strict=True) if not count]
    if not names:
        return []
    return [
        Warned(
            f"no {split} mask shows {listed(names)}",
            f"no mask of a {split} image shows {listed(names)}: its IoU there is 0 where it is "
            f"predicted, and left out of the mean where it is not; add {split} images with it",
        )
    ]
