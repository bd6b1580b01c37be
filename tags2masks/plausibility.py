"""How plausible masks are, without true masks: by tags, sizes, and other masks of the same images.

None of it is a measure of quality: masks that agree may be wrong together. It finds classes and
images that are worth a look. Figures are of an image (`measure`), of a class (`class_table`), and
the doubt on an image (`doubt_table`).
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from tags2masks.errors import UserError
from tags2masks.metrics.confusion import class_mean, confusion, scores
from tags2masks.scores.doubts import LEAST, MOST
from tags2masks.store import Shard

ANY = "(any)"
"""In the column class: all classes together."""
SHARES = ("image", "class", "tagged", "share", "agreement")
PARTS = ("mismatch", "extreme", "disagreement")
DOUBTS = ("image", "doubt", *PARTS)
QUANTILES = {"share_q10": 0.1, "share_q50": 0.5, "share_q90": 0.9}
COUNTS = ("images", "absent_images", "large_images", "untagged_images")
PLAUSIBILITY = (
    "split", "class", "images", "share", *QUANTILES, "absent_images", "absent", "hardly",
    "large_images", "large", "untagged_images", "agreement",
)  # fmt: skip


class Masks(NamedTuple):
    """The shard of an artifact: its file and the artifact's id."""

    shard: str
    artifact_id: str


class Chunk(NamedTuple):
    """Some images of a shard; others: the shards of other masks of the same images."""

    masks: Masks
    others: Sequence[Masks]
    images_sha: str
    images: Sequence[str]


class Measured(NamedTuple):
    """The figures of an image.

    shares: float64 [K], each class's share of all pixels, ignored ones included.
    agreement: float64 [K + 1], IoU of the background and each class with the other masks, mean over
    those of them where either shows it; NaN if none does.
    image_agreement: the mean IoU of the classes that either shows, background included, mean over
    the other masks; NaN without any.
    """

    image: str
    shares: np.ndarray
    agreement: np.ndarray
    image_agreement: float


def measure(chunk: Chunk, count: int) -> list[Measured]:
    """The figures of a chunk's images; count: the number of classes K.

    Images that a `partial` shard does not hold are left out, and so are such shards of other masks
    for these images. Raises UserError naming the shard that cannot be read or does not fit.
    """
    figures = []
    with ExitStack() as stack:
        mine, *others = [
            stack.enter_context(Shard(shard, artifact_id, chunk.images_sha))
            for shard, artifact_id in (chunk.masks, *chunk.others)
        ]
        for image in chunk.images:
            if mine.partial and not mine.holds(image):
                continue
            mask = mine.read(image)[0]
            holding = [shard for shard in others if not shard.partial or shard.holds(image)]
            try:
                shares = class_shares(mask, count)
                pairs = [class_agreement(mask, s.read(image)[0], count) for s in holding]
            except ValueError as error:
                raise UserError(
                    f"{mine.path}: image '{image}': {error}; delete it and run again"
                ) from None
            agreement = np.array(pairs).reshape(-1, count + 1)
            per_class = class_mean(agreement.T) if pairs else np.full(count + 1, np.nan)
            whole = float(class_mean(class_mean(agreement))) if pairs else np.nan
            figures.append(Measured(image, shares, per_class, whole))
    return figures


def class_shares(mask: np.ndarray, count: int) -> np.ndarray:
    """Each class's share of an image's pixels, float64 [K]; mask: uint8 [H, W] with ids to K, 255.

    Raises ValueError for other ids.
    """
    matrix = confusion(np.zeros_like(mask), mask, count)
    return matrix[0, 1 : count + 1] / mask.size


def class_agreement(mask: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """IoU of the background and each class of two masks, float64 [K + 1], symmetric.

    Only pixels with a label in both count. NaN for classes that neither shows there.
    Raises ValueError if the shapes differ or another id occurs.
    """
    return scores(confusion(other, mask, count))["iou"]


def share_table(
    measured: Sequence[Measured], tags: dict[str, Sequence[str]], classes: Sequence[str]
) -> pd.DataFrame:
    """Rows (`SHARES`) of each image's classes that it is tagged with or that its mask shows."""
    rows = [
        (one.image, name, name in tags[one.image], share, agreement)
        for one in measured
        for name, share, agreement in zip(classes, one.shares, one.agreement[1:], strict=True)
        if share or name in tags[one.image]
    ]
    return pd.DataFrame(rows, columns=list(SHARES))


def class_table(
    measured: Sequence[Measured], shares: pd.DataFrame, classes: Sequence[str], split: str
) -> pd.DataFrame:
    """Rows (`PLAUSIBILITY`) of all classes together (`ANY`) and of each class.

    shares: from `share_table`. Of the images tagged with the class (for `ANY`: with any class):
    images, their number; share, the mean share of their pixels that are the class (any class), and
    its quantiles; absent, the share of the images without a pixel of it (of any of their tags);
    hardly, the same with less than `LEAST` of the pixels; large, with more than `MOST` of them.
    Of all images: untagged_images, the number that show the class without its tag; agreement, the
    mean over the images of the class's IoU with other masks (for `ANY`: of the image's mean IoU).
    NaN without images.
    """
    tagged = shares[shares["tagged"].astype(bool)].assign(
        absent=lambda rows: rows["share"] == 0,
        hardly=lambda rows: rows["share"] < LEAST,
        large=lambda rows: rows["share"] > MOST,
    )
    untagged = shares[~shares["tagged"].astype(bool)]
    by_image = tagged.groupby("image", sort=False).agg(
        {"share": "sum", "absent": "max", "hardly": "max", "large": "max"}
    )
    stray = untagged.groupby("image")["share"].sum()
    by_image["share"] += stray.reindex(by_image.index, fill_value=0)
    whole = [one.image_agreement for one in measured]
    rows = [_class_row(ANY, by_image, untagged["image"].nunique(), whole)]
    rows += [
        _class_row(
            name,
            tagged[tagged["class"] == name],
            int((untagged["class"] == name).sum()),
            [one.agreement[number] for one in measured],
        )
        for number, name in enumerate(classes, start=1)
    ]
    return pd.DataFrame(rows).assign(split=split)[list(PLAUSIBILITY)]


def _class_row(
    name: str, tagged: pd.DataFrame, untagged_images: int, agreement: Sequence[float]
) -> dict:
    """A row of `class_table`; tagged: share, absent, hardly and large of each tagged image."""
    share, known = tagged["share"].to_numpy(float), len(tagged) > 0
    quantiles = np.quantile(share, list(QUANTILES.values())) if known else [np.nan] * 3
    return {
        "class": name,
        "images": len(tagged),
        "share": share.mean() if known else np.nan,
        **dict(zip(QUANTILES, quantiles, strict=True)),
        "absent_images": int(tagged["absent"].sum()),
        "large_images": int(tagged["large"].sum()),
        **{
            flag: tagged[flag].mean() if known else np.nan for flag in ("absent", "hardly", "large")
        },
        "untagged_images": untagged_images,
        "agreement": float(class_mean(np.asarray(agreement, float))),
    }


def doubt_table(measured: Sequence[Measured], shares: pd.DataFrame) -> pd.DataFrame:
    """Rows (`DOUBTS`) of each image: the doubt on its mask, the mean of the parts that are known.

    All are in 0..1, and 0 is without a doubt; only their order within an artifact has a meaning.
    mismatch: the share of the classes in tags or mask that are not in both; 0 without any.
    extreme: 0 while the class's share is among the middle 80 % of those of its images that show it,
        then rising to 1 at the smallest and the largest: max(0, 10 |r - 1/2| - 4), with the share's
        (mid-)rank r in 0..1; the mean over the tagged classes that the mask shows, NaN without any.
    disagreement: 1 less the mean IoU with other masks; NaN if there are none.
    """
    shares = shares.assign(tagged=shares["tagged"].astype(bool), shown=shares["share"] > 0)
    shares["both"] = shares["tagged"] & shares["shown"]
    present = shares[shares["both"]]
    ranks = present.groupby("class", sort=False)["share"].transform(mid_ranks)
    extreme = (10 * (ranks - 0.5).abs() - 4).clip(lower=0).groupby(present["image"]).mean()
    mismatch = 1 - shares.groupby("image")["both"].mean()
    images = [one.image for one in measured]
    table = pd.DataFrame(
        {
            "image": images,
            "mismatch": mismatch.reindex(images, fill_value=0.0).to_numpy(float),
            "extreme": extreme.reindex(images).to_numpy(float),
            "disagreement": [1 - one.image_agreement for one in measured],
        }
    )
    table["doubt"] = table[list(PARTS)].mean(axis=1)
    return table[list(DOUBTS)]


def mid_ranks(values: Sequence[float]) -> np.ndarray:
    """(rank - 1/2) / n of each of n values, in 0..1; equal values share their mean rank."""
    return (rankdata(values) - 0.5) / len(values)
