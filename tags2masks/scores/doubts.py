"""Reasons to doubt a chosen background score that can be seen without masks."""

from collections.abc import Sequence

import numpy as np

from tags2masks.data.warnings import Warned, listed

MOST = 0.45
"""Share of their images' pixels above which objects nearly fill them, or masks follow the scene."""
LEAST, OFTEN = 0.005, 0.25
"""A class with less than this share of the pixels in this share of its images is hardly found."""
FEWEST_IMAGES, FEWEST_OF_A_CLASS = 60, 10
EVERYWHERE = 0.95


def shares(classes: Sequence[str], maps: np.ndarray, score: float) -> dict[str, float]:
    """The share of an image's pixels that each class wins above the score.

    maps: [N, h, w], as they are stored; classes: of each map, once or, of instances, repeatedly.
    """
    if not len(maps):
        return {}
    # Not by `masks.seeds.best_class`: of instances there may be more maps than a mask has ids.
    above = maps.max(0).astype(np.float32) > np.float32(score)
    won = np.bincount(maps.argmax(0)[above], minlength=len(maps)) / above.size
    total = dict.fromkeys(classes, 0.0)
    for name, share in zip(classes, won.tolist(), strict=True):
        total[name] += share
    return total


def doubts(
    covered: Sequence[dict[str, float]], tags: Sequence[Sequence[str]], classes: Sequence[str]
) -> list[Warned]:
    """Warnings on a score; covered: for each image of the sample, `shares` at the score by class.

    tags: of all training images that have some.
    """
    by_class = {name: [image[name] for image in covered if name in image] for name in classes}
    large = [name for name, mine in by_class.items() if mine and np.mean(mine) > MOST]
    lost = [
        name for name, mine in by_class.items() if mine and np.mean(np.less(mine, LEAST)) >= OFTEN
    ]
    counts = {name: sum(name in names for names in tags) for name in classes}
    few = [name for name, count in counts.items() if 0 < count < FEWEST_OF_A_CLASS]
    everywhere = [name for name, count in counts.items() if count > EVERYWHERE * len(tags)]
    texts = []
    if large:
        texts.append(
            (
                f"masks of {listed(large)} cover over {MOST:.0%}",
                f"at the chosen background score {listed(large)} cover more than {MOST:.0%} of "
                "their images: objects nearly fill these, or masks follow the scene; look at some",
            )
        )
    if lost:
        texts.append(
            (
                f"masks of {listed(lost)} often empty",
                f"at the chosen background score {listed(lost)} have hardly a pixel in a quarter "
                "or more of the images tagged with them; look at these images",
            )
        )
    if len(tags) < FEWEST_IMAGES or few:
        what = listed(few) or f"{len(tags)} images"
        texts.append(
            (
                f"background score of few images: {what}",
                f"the background score is uncertain, as there are few tagged images ({what}); "
                f"it wants {FEWEST_IMAGES} in all and {FEWEST_OF_A_CLASS} of each class",
            )
        )
    if everywhere:
        texts.append(
            (
                f"{listed(everywhere)} in nearly every image",
                f"over {EVERYWHERE:.0%} of the tagged images show {listed(everywhere)}: maps can "
                "hardly tell them from the background; add images without them",
            )
        )
    return [Warned(*text) for text in texts]
