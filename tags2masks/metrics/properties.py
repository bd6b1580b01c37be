"""Properties of the classes' images, and their correlation with IoU (P-NOC paper, table 8).

The paper only names the properties. Its numbers for VOC's animals are reproduced with shares of all
pixels, including ignored ones, and Pearson's ρ over the foreground classes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from tags2masks.data.truth import MaskTable, read_mask
from tags2masks.stages import figured

COLUMNS = ("split", "class", "images", "relative_size", "co_occurrence", "cardinality")
PROPERTIES = COLUMNS[3:]
CORRELATIONS = (
    "experiment", "dataset", "stage", "split", "property", "pearson", "spearman", "classes",
)  # fmt: skip
FEWEST = 3  # classes: two always lie on a line


def region_counts(
    truths: Sequence[tuple[str, tuple[int, int], Sequence[str]]],
    table: MaskTable,
    classes: Sequence[str],
) -> np.ndarray:
    """float64 [2 + K, K + 1]: by mask id, the sum of its shares of images, how many show it, and
    how many of those have the tag of the first class, the second, …

    truths: mask file, (H, W) and tags of each image; table: the data set's mask table.
    A share is of all the image's pixels. Raises UserError for a mask that cannot be read.
    """
    count = len(classes)
    counts = np.zeros((2 + count, count + 1))
    for path, size, tags in truths:
        mask = read_mask(path, table, size)
        shares = np.bincount(mask.ravel(), minlength=count + 1)[: count + 1] / mask.size
        counts[:2] += shares, shares > 0
        counts[[2 + classes.index(tag) for tag in tags]] += shares > 0
    return counts


def class_properties(
    shares: np.ndarray, tags: Sequence[Sequence[str]], classes: Sequence[str], split: str
) -> pd.DataFrame:
    """Rows (`COLUMNS`) of the background and each class, of the images of a split with a mask.

    shares: the first two rows of `region_counts` of these images; tags: of each image.
    images: how many are tagged with the class; relative_size: its region's mean share of the images
    whose mask shows it; co_occurrence: the share of its images that have another tag too;
    cardinality: their mean number of tags. NaN where no image shows the class, or for the
    background, which is no tag.
    """
    with np.errstate(invalid="ignore"):
        sizes = shares[0] / shares[1]
    rows = [(split, "background", len(tags), sizes[0], np.nan, np.nan)]
    for name, size in zip(classes, sizes[1:], strict=True):
        counts = np.array([len(image_tags) for image_tags in tags if name in image_tags])
        means = ((counts > 1).mean(), counts.mean()) if len(counts) else (np.nan, np.nan)
        rows.append((split, name, len(counts), size, *means))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def correlations(properties: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows (`CORRELATIONS`) of each experiment and property.

    properties: rows of `class_properties`, of all splits of a data set. metrics: those rows of
    metrics.csv that are of this data set. The IoU is that of the foreground classes at the last
    stage that was measured, at nothing that was tuned on masks. classes: how many have an IoU and
    the property. NaN for fewer than three classes, or where all have the same value.
    """
    headed = figured("maps", "labels")  # the stages with figures of every class
    iou = metrics[(metrics["metric"] == "iou") & ~metrics["tuned_on_masks"].astype(bool)]
    rows = []
    for experiment, mine in iou.groupby("experiment", sort=False):
        stage = max(set(mine["stage"]) & set(headed), key=headed.index, default=None)
        if stage is None:
            continue
        last = mine[(mine["stage"] == stage) & ~mine["class"].isin(("mean", "background"))]
        both = last.merge(properties, on=["split", "class"])
        for name in PROPERTIES:
            known = both.dropna(subset=["value", name])
            figures = _correlated(known[name].to_numpy(), known["value"].to_numpy())
            about = (experiment, mine["dataset"].iloc[0], stage, mine["split"].iloc[-1])
            rows.append((*about, name, *figures, len(known)))
    return pd.DataFrame(rows, columns=list(CORRELATIONS))


def _correlated(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Pearson's and Spearman's correlation."""
    if len(first) < FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan, np.nan
    return float(pearsonr(first, second).statistic), float(spearmanr(first, second).statistic)
