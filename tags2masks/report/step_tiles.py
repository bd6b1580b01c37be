"""Pictures of a map after steps (AdvCAM's climb, RIB's descent), of what restricts a step, and of
single random passes.
"""

from collections.abc import Sequence

import numpy as np

from tags2masks.metrics.steps import each_step
from tags2masks.report.pictures import Tile, map_picture

MOST = 6  # pictures of one image


def step_tiles(
    pixels: np.ndarray, image: str, steps: np.ndarray, classes: Sequence[str]
) -> list[Tile]:
    """Maps of one class of an image before the first step and after up to five more, evenly spaced.

    pixels: uint8 [H, W, 3]; steps: [k, T, h, w], as `keep_steps` stores them, 0 or more; classes:
    the k names. The class is that whose first map is the highest on average; every map is divided
    by its own maximum (CAM(x^t) of eq. 2.1 in Lee's thesis of 2023). Steps that were not made,
    after an early exit, are left out.
    """
    if not len(steps):
        return []
    maps = each_step(steps)
    of, shown = _shown(maps)
    return [
        _tile(pixels, image, maps[of, step], classes[of], f"step {step}", f"after step {step}")
        for step in shown
    ]


def restricted_tiles(
    pixels: np.ndarray,
    image: str,
    steps: np.ndarray,
    classes: Sequence[str],
    restricted: np.ndarray,
) -> list[Tile]:
    """AdvCAM's restricting masks at the steps of `step_tiles` (eq. 3.4 of Lee's thesis of 2023).

    restricted: [k, T - 1, h, w] in 0 to 1, the share of the scales at which a place is restricted.
    After the last step nothing is.
    """
    if not len(steps):
        return []
    of, shown = _shown(each_step(steps))
    return [
        Tile(
            map_picture(pixels, restricted[of, step]),
            f"mask, step {step}",
            classes[of],
            f"Where the map of {classes[of]} in {image} is held after step {step}",
        )
        for step in shown
        if step < restricted.shape[1]
    ]


def pass_tiles(
    pixels: np.ndarray, image: str, singles: np.ndarray, classes: Sequence[str]
) -> list[Tile]:
    """Maps of one class of an image by the first random passes, one each, six at most.

    singles: [k, N, h, w] in 0 to 1, as `keep_passes` stores them; other arguments as for
    `step_tiles`. The class is that whose maps are the highest on average.
    """
    if not len(singles):
        return []
    maps = singles.astype(np.float32)
    of = int(maps.mean(axis=(1, 2, 3)).argmax())
    return [
        _tile(pixels, image, maps[of, at], classes[of], f"pass {at + 1}", f"by pass {at + 1}")
        for at in range(min(MOST, maps.shape[1]))
    ]


def _tile(
    pixels: np.ndarray, image: str, scores: np.ndarray, name: str, title: str, said: str
) -> Tile:
    picture = map_picture(pixels, scores)
    return Tile(picture, title, name, f"Where {name} is seen in {image} {said}")


def _shown(maps: np.ndarray) -> tuple[int, list[int]]:
    """The class and the steps that are shown."""
    of = int(maps[:, 0].mean(axis=(1, 2)).argmax())
    made = np.flatnonzero(~np.isnan(maps[of]).any(axis=(1, 2)))
    shown = made[np.linspace(0, len(made) - 1, min(MOST, len(made))).round().astype(int)]
    return of, shown.tolist()
