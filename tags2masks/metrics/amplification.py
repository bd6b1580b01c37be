"""The distribution of how much a map's pixels grow over the steps of a climb.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 3.3.2 and
figure 3.3: the ratios s_t = CAM(x^t) / CAM(x^0) of the pixels of the discriminative and of the
non-discriminative region (`steps.amplification`), over many images. They are counted in bins, so
that the counts of images add up.
"""

import numpy as np
import pandas as pd

WIDTH, LAST = 0.02, 10.0
BINS = round(LAST / WIDTH) + 1  # the last one is open: ratios of LAST or more
REGIONS = ("discriminative", "non-discriminative")
COLUMNS = ("step", "region", "at_least", "below", "pixels")


def counts(ratios: np.ndarray) -> np.ndarray:
    """Pixels by step and bin of their ratio, int64 [T, BINS].

    ratios: float [pixels, T], 0 or more; NaN, of a step that was not made, is not counted.
    """
    found = np.zeros((ratios.shape[1], BINS), np.int64)
    for step, of_step in enumerate(ratios.T):
        known = np.minimum(of_step[np.isfinite(of_step)], LAST)
        found[step] = np.bincount((known / WIDTH + 1e-9).astype(np.int64), minlength=BINS)
    return found


def table(found: np.ndarray) -> pd.DataFrame:
    """Rows (COLUMNS) of the bins that have pixels; of the open bin `below` is infinite.

    found: int64 [2, T, BINS], in the order of REGIONS.
    """
    edges = np.append(np.arange(BINS) * WIDTH, np.inf).round(9)
    rows = [
        (step, REGIONS[region], edges[place], edges[place + 1], found[region, step, place])
        for step, region, place in zip(*found.transpose(1, 0, 2).nonzero(), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def quantile(bins: pd.DataFrame, share: float) -> float:
    """The ratio that this share of the pixels is below; NaN without pixels.

    bins: rows of `table` of one step and region, ascending. Pixels are taken to be spread evenly
    within their bin; in the open bin the answer is where it begins.
    """
    total = bins["pixels"].sum()
    if not total:
        return float("nan")
    so_far = bins["pixels"].cumsum().to_numpy()
    place = int(np.searchsorted(so_far, share * total))
    row = bins.iloc[min(place, len(bins) - 1)]
    if np.isinf(row["below"]):
        return float(row["at_least"])
    within = (share * total - (so_far[place] - row["pixels"])) / row["pixels"]
    return float(row["at_least"] + within * (row["below"] - row["at_least"]))
